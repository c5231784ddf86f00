"""Homes on several hosts share their keys through a real redis-server: what one changes the others hear, for good."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import UnfitPepper
from gateway.keys.redis_keys import KEYS, KeyMirror
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, public_key_id
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation
from policies.errors import PolicyUnavailable
from policies.limiting.limit_grant import LimitGrant
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import link_to

PEPPERS = {1: b"1" * 32}


def key(byte: int, **changes: object) -> KeyRecord:
    made = new_record(
        mint(lambda count: bytes([byte]) * count), PEPPERS, 1000.0 + byte, team="blue", scopes=frozenset({"models"})
    )
    return replace(made, **changes)


def public_key(byte: int, **changes: object) -> PublicKeyRecord:
    blob = BLOB_HEAD + bytes([byte]) * 32
    made = PublicKeyRecord(
        id=public_key_id(blob), blob=blob, team="blue", scopes=frozenset({"models"}), created_s=1.0, expires_s=None
    )
    return replace(made, **changes)


GRANT = LimitGrant(id="g1", team="blue", limit="burst_requests", value=5, until_s=9.0, made_s=1.0)
ANNA = Revocation(kind="actor", subject="anna", at_s=5.0, by="berta")
BLUE = Lockdown(team="blue", since_s=5.0, by="berta", reason="fire")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


class Host:
    """A home and its end of the shared copy."""

    def __init__(self, folder: Path, server: RedisServer, peppers: dict[int, bytes] | None = None) -> None:
        self.path = folder / "keys.db"
        self.keys = KeyStore.open(self.path) if self.path.exists() else KeyStore.create(self.path)
        self.link = link_to(server, 30.0)
        self.peppers = dict(peppers or PEPPERS)
        self.mirror = KeyMirror(self.keys, self.link, lambda: dict(self.peppers))

    async def sync(self) -> None:
        await self.mirror.sync()

    def locked(self) -> list[str]:
        return sorted(self.keys.revocations.current.lockdowns)

    async def close(self) -> None:
        await self.mirror.close()
        self.keys.close()


@pytest.fixture
async def hosts(tmp_path, server):
    await asyncio.to_thread(server.ask, "FLUSHALL")
    async with contextlib.AsyncExitStack() as open_hosts:

        def make(name: str, **how: object) -> Host:
            (tmp_path / name).mkdir(exist_ok=True)
            host = Host(tmp_path / name, server, **how)
            open_hosts.push_async_callback(host.close)
            return host

        yield make


async def both(one: Host, two: Host) -> None:
    await one.sync()
    await two.sync()


async def test_everything_that_one_home_has_the_other_gets(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.save(key(1, last_used_s=60.0, last_ip="192.0.2.1"))
    one.keys.public_keys.save(public_key(1))
    one.keys.grants.save(GRANT)
    one.keys.revocations.revoke(ANNA)
    one.keys.revocations.lock(BLUE)
    await both(one, two)
    assert two.keys.records() == (key(1),)
    assert two.keys.public_keys.find(public_key(1).blob) == public_key(1)
    assert two.keys.grants.of_team("blue") == (GRANT,)
    assert two.keys.revocations.current == one.keys.revocations.current
    await two.close()
    two = hosts("two")
    assert two.keys.records() == (key(1),)
    assert two.keys.revocations.current == one.keys.revocations.current


async def test_each_hears_what_the_other_changes_and_subscribers_do(hosts):
    one, two = hosts("one"), hosts("two")
    heard: list[str] = []
    two.keys.subscribe(heard.append)
    two.keys.revocations.subscribe(lambda: heard.append("changed"))
    one.keys.save(key(1))
    one.keys.public_keys.save(public_key(1))
    await both(one, two)
    one.keys.save(key(1, revoked_s=9.0))
    one.keys.public_keys.save(public_key(1, revoked_s=9.0))
    one.keys.revocations.revoke(ANNA)
    two.keys.save(key(2))
    await both(one, two)
    assert sorted(heard) == sorted(["changed", key(1).id, public_key(1).id])
    await one.sync()
    assert one.keys.records() == two.keys.records() == (key(1, revoked_s=9.0), key(2))


async def test_a_silent_second_writes_nothing(hosts, server):
    one, two = hosts("one"), hosts("two")
    one.keys.save(key(1))
    for _ in range(2):
        await both(one, two)
    version = await asyncio.to_thread(server.ask, "HGET", KEYS[2], "version")
    one.keys.touch(key(1).id, 120.0, "192.0.2.1")
    two.keys.touch(key(1).id, 180.0, "192.0.2.2")
    for _ in range(3):
        await both(one, two)
    assert await asyncio.to_thread(server.ask, "HGET", KEYS[2], "version") == version
    assert one.keys.get(key(1).id).last_ip == "192.0.2.1"


async def test_what_crossed_is_settled_with_nothing_lost(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.save(key(1))
    await both(one, two)
    one.keys.save(key(1, successor_id=key(2).id, overlap_ends_s=50.0))
    two.keys.save(key(1, revoked_s=9.0, revoked_by="berta"))
    await asyncio.gather(one.sync(), two.sync())
    for _ in range(2):
        await both(one, two)
    expected = key(1, successor_id=key(2).id, overlap_ends_s=50.0, revoked_s=9.0, revoked_by="berta")
    assert one.keys.get(key(1).id) == two.keys.get(key(1).id) == expected


async def test_a_revocation_survives_a_redis_that_forgets_and_a_host_that_was_away(hosts, server):
    one, two = hosts("one"), hosts("two")
    one.keys.save(key(1))
    await both(one, two)
    one.keys.save(key(1, revoked_s=9.0))
    one.keys.revocations.revoke(ANNA)
    await one.sync()
    await asyncio.to_thread(server.ask, "FLUSHALL")
    await two.sync()
    assert two.keys.get(key(1).id).revoked_s is None
    await both(one, two)
    assert two.keys.get(key(1).id).revoked_s == 9.0
    assert two.keys.revocations.current.entries == one.keys.revocations.current.entries


async def test_a_lockdown_begins_and_ends_on_every_host(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.revocations.lock(Lockdown(team=ALL_TEAMS, since_s=5.0))
    await both(one, two)
    assert two.locked() == [ALL_TEAMS]
    two.keys.revocations.lift(ALL_TEAMS)
    await both(two, one)
    assert one.locked() == two.locked() == []
    one.keys.revocations.lock(Lockdown(team=ALL_TEAMS, since_s=6.0))
    await both(one, two)
    assert two.locked() == [ALL_TEAMS]


async def test_two_lockdowns_of_one_team_are_both_ended_by_whoever_knows_both(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.revocations.lock(BLUE)
    two.keys.revocations.lock(replace(BLUE, since_s=6.0))
    for _ in range(2):
        await both(one, two)
    assert one.locked() == two.locked() == ["blue"]
    one.keys.revocations.lift("blue")
    await one.sync()
    for _ in range(2):
        await both(two, one)
    assert one.locked() == two.locked() == []


async def test_a_lockdown_that_one_host_did_not_know_of_outlives_the_end_of_another(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.revocations.lock(BLUE)
    await both(one, two)
    three = hosts("three")
    three.keys.revocations.lock(replace(BLUE, since_s=7.0))
    await three.sync()
    one.keys.revocations.lift("blue")
    await one.sync()
    await both(two, three)
    await both(one, two)
    assert one.locked() == two.locked() == three.locked() == ["blue"]


async def test_a_lifted_lockdown_does_not_come_back_with_a_restart_or_a_loss(hosts, server):
    one, two = hosts("one"), hosts("two")
    one.keys.revocations.lock(BLUE)
    await both(one, two)
    one.keys.revocations.lift("blue")
    await both(one, two)
    await two.close()
    two = hosts("two")
    await both(two, one)
    await asyncio.to_thread(server.ask, "FLUSHALL")
    await both(two, one)
    assert one.locked() == two.locked() == []


async def test_processes_of_one_home_do_not_undo_each_other(hosts):
    one, beside, other = hosts("one"), hosts("one"), hosts("two")
    one.keys.revocations.lock(BLUE)
    one.keys.save(key(1))
    await both(one, other)
    beside.keys.refresh()
    await beside.sync()
    beside.keys.revocations.lift("blue")
    beside.keys.save(key(1, revoked_s=9.0))
    await both(one, beside)
    one.keys.refresh()
    await both(one, other)
    assert one.locked() == beside.locked() == other.locked() == []
    assert other.keys.get(key(1).id).revoked_s == 9.0


async def test_a_redis_that_is_away_is_not_heard(hosts, server):
    one = hosts("one")
    one.keys.save(key(1))
    server.kill()
    with pytest.raises(PolicyUnavailable, match="key_mirror_"):
        await one.sync()
    server.start()
    await one.sync()
    assert await asyncio.to_thread(server.ask, "HLEN", KEYS[0]) == 1


async def test_another_pepper_hears_nothing_and_tells_nothing(hosts, server):
    one, stranger = hosts("one"), hosts("two", peppers={1: b"2" * 32})
    one.keys.save(key(1))
    stranger.keys.save(key(2))
    await one.sync()
    for _ in range(2):
        with pytest.raises(PolicyUnavailable, match="key_mirror_unsound"):
            await stranger.sync()
    assert await asyncio.to_thread(server.ask, "HLEN", KEYS[0]) == 1
    await one.sync()
    assert one.keys.records() == (key(1),)


async def test_a_new_pepper_stands_in_all_files_before_one_gateway_takes_it(hosts, server):
    one, two = hosts("one"), hosts("two")
    one.keys.save(key(1))
    one.keys.revocations.lock(BLUE)
    await both(one, two)
    both_versions = PEPPERS | {2: b"2" * 32}
    two.peppers = dict(both_versions)
    fresh = hosts("three", peppers=both_versions)
    fresh.keys.save(key(2))
    await fresh.sync()
    sealed = await asyncio.to_thread(server.ask, "HVALS", KEYS[0])
    assert [value[:2] for value in sealed] == [b"2:"] * 3
    await two.sync()
    assert two.keys.records() == (key(1), key(2))
    with pytest.raises(PolicyUnavailable, match="key_mirror_unsound"):
        await one.sync()
    newest = hosts("four", peppers={2: b"2" * 32})
    await newest.sync()
    assert (newest.keys.records(), newest.locked()) == ((key(1), key(2)), ["blue"])


async def test_a_pepper_file_that_cannot_be_read_again_is_no_word_of_anything(hosts, server):
    one, two = hosts("one"), hosts("two", peppers={1: b"2" * 32})
    one.keys.save(key(1))
    await one.sync()

    def gone() -> dict[int, bytes]:
        raise UnfitPepper("gone")

    two.mirror._load = gone
    with pytest.raises(PolicyUnavailable, match="key_mirror_unsound"):
        await two.sync()


async def test_whoever_can_write_to_redis_registers_no_key_and_lifts_nothing(hosts, server):
    one, two = hosts("one"), hosts("two")
    one.keys.public_keys.save(public_key(1))
    one.keys.revocations.lock(BLUE)
    await both(one, two)
    field, sealed = f"public_key:{public_key(1).id}", f"lockdown:blue:{5.0!r}"
    content = await asyncio.to_thread(server.ask, "HGET", KEYS[0], field)
    forged = content.replace(b'"team":"blue"', b'"team":"root"')
    for name, value in ((field, forged), (sealed, b"1:00:{}"), ("public_key:ssh-x", content)):
        await asyncio.to_thread(server.ask, "HSET", KEYS[0], name, value)
        await asyncio.to_thread(server.ask, "ZADD", KEYS[1], 1000, name)
        with pytest.raises(PolicyUnavailable, match="key_mirror_unsound"):
            await two.sync()
    assert two.keys.public_keys.records() == (public_key(1),)
    assert two.locked() == ["blue"]


async def test_neither_a_secret_nor_the_pepper_lies_in_redis(hosts, server):
    one = hosts("one")
    one.keys.save(key(1))
    await one.sync()
    content = b"".join(await asyncio.to_thread(server.ask, "HVALS", KEYS[0]))
    secret = mint(lambda count: bytes([1]) * count).text.split("_")[2].encode()
    assert key(1).id.encode() in content
    assert secret not in content
    assert PEPPERS[1] not in content


async def test_a_disk_that_refuses_is_told_and_a_revocation_holds_all_the_same(hosts):
    one, two = hosts("one"), hosts("two")
    one.keys.revocations.revoke(ANNA)
    one.keys.save(key(1))
    await one.sync()
    two.keys._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable, match="key_store_not_written"):
        await two.sync()
    assert list(two.keys.revocations.current.entries) == [("actor", "anna")]
    two.keys._database.execute("PRAGMA query_only = OFF")
    two.keys.flush()
    await two.sync()
    assert two.keys.records() == (key(1),)


async def test_a_large_home_is_told_over_several_seconds(hosts, monkeypatch):
    monkeypatch.setattr("gateway.keys.redis_keys.PUSHED_AT_ONCE", 5)
    one, two = hosts("one"), hosts("two")
    one.keys.save(*(key(byte) for byte in range(1, 41)))
    for _ in range(3):
        await both(one, two)
    assert two.keys.records() == one.keys.records()
