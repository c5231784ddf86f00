"""Sign-ins under way in a real redis-server: taken once by whichever gateway comes first, bounded like in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.console.oidc.login_store import LoginStore, OwnLogins
from gateway.console.oidc.redis_logins import KEYS, RedisLogins
from policies.console.oidc_login import LOGIN_S, Pending
from policies.errors import PolicyUnavailable
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import link_to

ONE, OTHER = ip_network("192.0.2.0/24"), ip_network("2001:db8::/56")


def pending(begun_s: float = 1_700_000_000.25) -> Pending:
    return Pending(redirect_uri="https://c.example:8445/oidc/callback", begun_s=begun_s)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@pytest.fixture
async def logins(server: RedisServer) -> AsyncIterator[RedisLogins]:
    server.ask("FLUSHALL")
    found = RedisLogins(link_to(server, 30.0), max_logins=3, max_of_network=2)
    yield found
    await found.close()


async def taken(logins: LoginStore, *places: str) -> list[bool]:
    return [await logins.take(place) is not None for place in places]


async def test_each_is_taken_once_wherever_it_comes_back(server: RedisServer, logins: RedisLogins) -> None:
    there = RedisLogins(link_to(server, 30.0))
    await logins.put("p", pending(), ONE)
    found = await asyncio.gather(*(each.take("p") for each in (logins, there) * 5))
    assert [each for each in found if each is not None] == [pending()]
    assert server.ask("KEYS", "*") == []
    await there.close()


async def test_a_network_pushes_out_its_own_alone(logins: RedisLogins) -> None:
    await logins.put("other", pending(1.0), OTHER)
    for at, place in enumerate("abc"):
        await logins.put(place, pending(2.0 + at), ONE)
    assert await taken(logins, "a", "b", "c", "other") == [False, True, True, True]


async def test_of_all_together_the_oldest_goes(server: RedisServer, logins: RedisLogins) -> None:
    for at, network in enumerate((ONE, OTHER, OTHER, ip_network("10.0.0.0/24"))):
        await logins.put(f"p{at}", pending(1.0 + at), network)
    assert server.ask("ZCARD", KEYS[1]) == 3
    assert await taken(logins, "p0", "p1", "p2", "p3") == [False, True, True, True]


async def test_old_ones_are_forgotten_and_all_ends_by_itself(server: RedisServer, logins: RedisLogins) -> None:
    await logins.put("old", pending(1.0), ONE)
    await logins.put("new", pending(2.0 + LOGIN_S), OTHER)
    assert server.ask("HKEYS", KEYS[0]) == [b"new"]
    assert all(0 < server.ask("PTTL", key) <= 2000 * LOGIN_S for key in server.ask("KEYS", "*"))


@pytest.mark.parametrize("row", ["", "x", "192.0.2.0/24 soon https://c.example", "192.0.2.0/24 1.0 a b", "\xff 1 a"])
async def test_what_others_wrote_there_is_not_there(server: RedisServer, logins: RedisLogins, row: Any) -> None:
    server.ask("HSET", KEYS[0], "p", row)
    assert await logins.take("p") is None


async def test_nothing_secret_lies_there(server: RedisServer, logins: RedisLogins) -> None:
    await logins.put("digest", pending(), ONE)
    row = b"192.0.2.0/24 1700000000.25 " + pending().redirect_uri.encode()
    assert server.ask("HGETALL", KEYS[0]) == {b"digest": row}


async def test_without_redis_nobody_begins_or_finishes(server: RedisServer) -> None:
    server.kill()
    away = RedisLogins(link_to(server, 30.0))
    with pytest.raises(PolicyUnavailable):
        await away.put("p", pending(), ONE)
    with pytest.raises(PolicyUnavailable):
        await away.take("p")
    await away.close()
    server.start()


async def test_the_own_store_keeps_the_same_promises() -> None:
    own = OwnLogins()
    await own.put("p", pending(), ONE)
    assert await taken(own, "p", "p") == [True, False]
    await own.close()
