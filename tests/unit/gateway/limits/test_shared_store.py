"""From the settings to a store that counts, and a name that stays."""

import stat
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.configuration.settings import StoreSettings
from gateway.homes.home import Home
from gateway.limits.shared_store import gateway_name, open_shared_store
from policies.errors import RateLimited
from policies.limiting.limits import RateClaim
from policies.limiting.rate_limit import Rate
from tests.redis_server import redis_server

ONE = RateClaim("requests:a", Rate(1, 1))


async def test_two_gateways_of_one_home_count_as_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    with redis_server() as server:
        settings = StoreSettings(url=server.url, timeout_ms=30_000)
        stores = [open_shared_store(settings, home, place, SystemClock()) for place in ("host-0", "host-1")]
        for store in stores:
            await store.start(lambda _event, _details: None)
        await stores[0].take((ONE,))
        with pytest.raises(RateLimited):
            await stores[1].take((ONE,))
        assert stores[1].state().gateways == 2
        for store in stores:
            await store.close()


def test_a_name_is_kept_and_nobody_elses(tmp_path: Path) -> None:
    name = gateway_name(tmp_path, "host-0")
    assert gateway_name(tmp_path, "host-0") == name
    assert gateway_name(tmp_path, "host-1") != name
    (tmp_path / "other").mkdir()
    assert gateway_name(tmp_path / "other", "host-0") != name
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.gateway")} == {0o600}
