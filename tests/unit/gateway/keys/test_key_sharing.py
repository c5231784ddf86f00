"""A gateway that shares its keys is trusted while it hears the others, and says so once when it does not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.configuration.settings import StoreSettings
from gateway.homes.home import Home
from gateway.homes.private_file import write_private
from gateway.keys import key_sharing
from gateway.keys.key_sharing import KeySharing, open_sharing
from gateway.keys.key_store import KeyStore
from gateway.keys.trusted_copy import TrustedCopy
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.credentials.revocation import Revocation
from policies.errors import PolicyUnavailable
from tests.fakes import ManualClock
from tests.redis_server import RedisServer, redis_server

ANNA = Principal(kind="jwt", team="blue", scopes=frozenset(), networks=Networks(), subject="anna", issued_s=1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


class Gateway:
    """A home, its copy and its sharing."""

    def __init__(self, home: Path, server: RedisServer) -> None:
        home.mkdir()
        self.clock = ManualClock()
        self.keys = KeyStore.create(home / "keys.db")
        self.copy = TrustedCopy(self.keys, self.clock, 60.0, shared=True)
        settings = StoreSettings(url=server.url, timeout_ms=30_000)
        write_private(home / "pepper", f"1:{'11' * 32}\n".encode(), mode=0o400)
        sharing = open_sharing(settings, Home(home), self.keys, self.copy)
        assert sharing is not None
        self.sharing: KeySharing = sharing

    async def close(self) -> None:
        await self.sharing.close()
        self.keys.close()


async def test_nobody_is_let_in_before_the_others_were_heard_nor_long_after(tmp_path, server):
    one = Gateway(tmp_path / "one", server)
    with pytest.raises(PolicyUnavailable, match="keys_stale"):
        one.copy.check(ANNA)
    await one.sharing.hear()
    one.copy.check(ANNA)
    server.kill()
    one.clock.move(59)
    one.keys.refresh()
    with structlog.testing.capture_logs() as logged:
        await one.sharing.hear()
        await one.sharing.hear()
        one.copy.check(ANNA)
        one.clock.move(2)
        with pytest.raises(PolicyUnavailable, match="keys_stale"):
            one.copy.check(ANNA)
        server.start()
        one.copy.refresh()
        await one.sharing.hear()
        one.copy.check(ANNA)
    assert [entry["event"] for entry in logged] == ["keys_not_shared", "keys_shared_again"]
    await one.close()


async def test_what_one_revokes_reaches_the_other_by_itself(tmp_path, server, monkeypatch):
    monkeypatch.setattr(key_sharing, "EVERY_S", 0.01)
    one, two = Gateway(tmp_path / "one", server), Gateway(tmp_path / "two", server)
    running = [asyncio.create_task(gateway.sharing.run()) for gateway in (one, two)]
    heard = asyncio.Event()
    two.keys.revocations.subscribe(heard.set)
    one.keys.revocations.revoke(Revocation(kind="actor", subject="anna", at_s=5.0))
    await asyncio.wait_for(heard.wait(), 30)
    assert list(two.keys.revocations.current.entries) == [("actor", "anna")]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await one.close()
    await two.close()


def test_without_a_store_nothing_is_shared(tmp_path):
    keys = KeyStore.create(tmp_path / "keys.db")
    assert open_sharing(None, Home(tmp_path), keys, TrustedCopy(keys, ManualClock(), 60.0)) is None
    keys.close()
