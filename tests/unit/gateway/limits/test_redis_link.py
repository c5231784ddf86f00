"""Connections to a real redis-server: none is ever in doubt, whatever happens to its caller."""

import asyncio
from collections.abc import Iterator

import pytest

from bench.proofs.redis_cancel import ECHO, cancel_calls
from gateway.limits.redis_link import RedisAway, Script
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import link_to

LIAR = Script("return { 'another-call', 'its secret' }")
FAULTY = Script("return redis.call('NOSUCH')")
SLOW_TIMEOUT_S = 0.05


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


async def test_redis_py_cve_2023_28858_no_reply_reaches_another_caller(server: RedisServer) -> None:
    """Small here; `make prove P=redis_cancel` cancels 10,000."""
    counts = await cancel_calls(server, 500)
    assert counts["cancelled"] >= 500
    assert counts["answered"] > 0
    assert counts["foreign"] == 0


async def test_a_forgotten_script_is_sent_again(server: RedisServer) -> None:
    link = link_to(server)
    for flush in (True, False, True):
        if flush:
            await asyncio.to_thread(server.ask, "SCRIPT", "FLUSH")
        assert await link.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
    await link.close()


async def test_a_reply_to_somebody_else_is_a_fault_and_ends_the_connection(server: RedisServer) -> None:
    link = link_to(server)
    assert await link.run(ECHO, ["k"], [1]) == [b"k", b"1"]
    assert len(link._idle) == 1
    with pytest.raises(RedisAway, match="foreign_reply"):
        await link.run(LIAR, [], [])
    assert link._idle == []
    await link.close()


async def test_a_faulty_script_ends_the_connection_too(server: RedisServer) -> None:
    link = link_to(server)
    with pytest.raises(RedisAway, match="unreachable"):
        await link.run(FAULTY, [], [])
    assert await link.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
    await link.close()


async def test_a_stopped_server_costs_the_time_out_and_the_connection(server: RedisServer) -> None:
    link = link_to(server, SLOW_TIMEOUT_S)
    await link_ready(link_patient := link_to(server))
    server.pause()
    try:
        with pytest.raises(RedisAway, match="timeout"):
            await link.run(ECHO, ["first"], ["1"])
    finally:
        server.resume()
    await link_ready(link_patient)  # the server is back, and has answered what nobody waits for
    link._timeout_s = 10.0
    assert await link.run(ECHO, ["second"], ["2"]) == [b"second", b"2"]
    await link.close()
    await link_patient.close()


async def link_ready(link: object) -> None:
    assert await link.run(ECHO, ["ready"], [""]) == [b"ready", b""]  # type: ignore[attr-defined]


async def test_an_idle_connection_that_was_closed_is_left_for_a_new_one(server: RedisServer) -> None:
    link = link_to(server)
    await link_ready(link)
    await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "normal")
    await asyncio.sleep(0)
    while not await link._idle[0].can_read():  # noqa: ASYNC110 (until our end hears of it)
        await asyncio.sleep(0)
    await link_ready(link)
    await link.close()


async def test_callers_beyond_the_connections_wait_their_turn(server: RedisServer) -> None:
    link = link_to(server, max_connections=2)
    asked = [link.run(ECHO, [str(each)], [each]) for each in range(20)]
    assert await asyncio.gather(*asked) == [[str(each).encode()] * 2 for each in range(20)]
    assert len(link._idle) <= 2
    await link.close()


async def test_calls_under_way_fail_when_the_link_closes(server: RedisServer) -> None:
    link = link_to(server)
    asking = asyncio.create_task(link.run(ECHO, ["k"], ["v"]))
    await asyncio.sleep(0)
    await link.close()
    with pytest.raises((RedisAway, asyncio.CancelledError)):
        await asking
    assert link._idle == []


async def test_the_servers_own_words_name_the_reason() -> None:
    with redis_server() as server:
        link = link_to(server)
        writes = Script("redis.call('SET', KEYS[1], ARGV[2]) return { ARGV[1] }")
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(RedisAway, match="out_of_memory"):
            await link.run(writes, ["k"], ["v"])
        server.ask("CONFIG", "SET", "maxmemory", "0")
        server.ask("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(RedisAway, match="read_only"):
            await link.run(writes, ["k"], ["v"])
        server.ask("CONFIG", "SET", "requirepass", "secret")
        await link.close()
        link = link_to(server)
        with pytest.raises(RedisAway, match="authentication"):
            await link.run(ECHO, ["k"], ["v"])
        server.kill()
        with pytest.raises(RedisAway, match="unreachable"):
            await link.run(ECHO, ["k"], ["v"])
        await link.close()
