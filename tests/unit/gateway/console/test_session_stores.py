"""Both stores of sessions keep to one contract: the home's file, and a real redis-server."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_bytes

import pytest

from gateway.configuration.settings import StoreSettings
from gateway.console.composed import open_session_store
from gateway.console.redis_sessions import KEYS, RedisSessions
from gateway.console.session_store import SessionStore
from gateway.console.sessions import Sessions
from gateway.console.sqlite_sessions import SqliteSessions
from gateway.homes.home import Home
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from policies.console.session import Proof
from policies.errors import NotAuthenticated, PolicyUnavailable
from tests.redis_server import RedisServer, redis_server

A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def server():
    with redis_server() as started:
        yield started


def patient(url: str) -> StoreSettings:
    return StoreSettings(url=url, timeout_ms=30_000)


def over(server: RedisServer, timeout_s: float = 30.0) -> RedisSessions:
    return RedisSessions(RedisLink(connections_to(patient(server.url), Path()), timeout_s=timeout_s))


@pytest.fixture(params=["sqlite", "redis"])
async def store(request, tmp_path, server) -> AsyncIterator[SessionStore]:
    server.ask("FLUSHALL")
    made: SessionStore = SqliteSessions(tmp_path / "sessions.db") if request.param == "sqlite" else over(server)
    yield made
    await made.close()


async def test_a_row_is_found_replaced_and_dropped_once(store):
    assert await store.get(A) is None
    await store.put(A, b"\x00one")
    await store.put(B, b"two")
    await store.update(A, b"three\xff")
    assert await store.get(A) == b"three\xff"
    assert await store.all() == {A: b"three\xff", B: b"two"}
    assert await store.drop(A) is True
    assert await store.drop(A) is False
    assert await store.all() == {B: b"two"}


async def test_what_has_ended_is_not_brought_back_by_its_last_use(store):
    await store.put(A, b"one")
    await store.drop(A)
    await store.update(A, b"one again")
    assert await store.get(A) is None


async def test_alarms_are_told_newest_first_until_their_end(store):
    await store.raise_alarm("one", 100.0, 200.0)
    await store.raise_alarm("two", 150.5, 250.0)
    assert await store.alarms(199.0) == (150.5, 100.0)
    assert await store.alarms(200.0) == (150.5,)
    assert await store.alarms(250.0) == ()
    assert await store.alarms(100.0) == ()


async def test_the_file_is_its_owners_alone_and_outlives_the_gateway(tmp_path):
    path = tmp_path / "sessions.db"
    first = SqliteSessions(path)
    await first.put(A, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await first.close()
    second = SqliteSessions(path)
    assert await second.get(A) == b"one"
    await second.close()


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read as one" * 40, b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_a_damaged_file_is_made_anew(tmp_path, content):
    path = tmp_path / "sessions.db"
    path.write_bytes(content)
    store = SqliteSessions(path)
    assert await store.all() == {}
    await store.close()


async def test_a_file_that_cannot_be_made_or_read_is_told(tmp_path):
    with pytest.raises(PolicyUnavailable, match="session_store_not_made"):
        SqliteSessions(tmp_path / "no" / "folder" / "sessions.db")
    store = SqliteSessions(tmp_path / "sessions.db")
    await store.close()
    with pytest.raises(PolicyUnavailable, match="session_store_away"):
        await store.get(A)


async def test_the_file_holds_no_more_than_it_is_given(tmp_path):
    store = SqliteSessions(tmp_path / "sessions.db")
    await store.put(A, b"secret text")
    await store.drop(A)
    await store.close()
    assert b"secret text" not in (tmp_path / "sessions.db").read_bytes()
    with sqlite3.connect(tmp_path / "sessions.db") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert tables == {"sessions", "alarms"}


async def test_a_redis_that_is_away_or_holds_what_is_not_ours_is_told(server):
    server.ask("FLUSHALL")
    server.ask("HSET", KEYS[1], "odd", "what nobody of ours wrote")
    store = over(server)
    assert await store.alarms(0.0) == ()
    server.ask("SET", KEYS[0], "not a hash")
    with pytest.raises(PolicyUnavailable, match="session_store_"):
        await store.get(A)
    await store.close()
    away = RedisSessions(RedisLink(connections_to(patient("redis+unix:///nowhere/redis.sock"), Path()), timeout_s=30.0))
    with pytest.raises(PolicyUnavailable, match="session_store_"):
        await away.all()
    await away.close()


async def test_what_lies_in_redis_ends_by_itself(server):
    server.ask("FLUSHALL")
    store = over(server)
    await store.put(A, b"one")
    await store.raise_alarm("one", 1.0, 2.0)
    for key in KEYS:
        assert 8 * 3600 < server.ask("TTL", key) <= 26 * 3600
    await store.close()


async def test_gateways_that_share_a_redis_share_their_sessions(server, tmp_path):
    server.ask("FLUSHALL")
    here, there = (
        Sessions(open_session_store(patient(server.url), Home(tmp_path)), {1: b"p" * 32}, token_bytes) for _ in range(2)
    )
    cookie, session = here.made(Proof(method="break_glass", subject="root", key_id="k"), "127.0.0.1", 1000.0)
    await here.keep(cookie, session)
    assert await there.find(cookie) == session
    assert await there.alarms(1000.0) == (1000.0,)
    assert await there.end(session.id) is True
    with pytest.raises(NotAuthenticated):
        await here.find(cookie)
    await here.close()
    await there.close()


async def test_one_gateway_keeps_them_in_its_run_folder(tmp_path):
    (tmp_path / "run").mkdir()
    store = open_session_store(None, Home(tmp_path))
    await store.put(A, b"one")
    await store.close()
    assert (tmp_path / "run" / "sessions.db").is_file()
