"""From config.yaml to the scheduler."""

from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.configuration.settings import Config, GatewaySettings, StoreSettings, UpstreamSettings
from gateway.homes.home import Home
from gateway.keys.pepper import UnfitPepper
from gateway.scheduling import redis_post, shared_queue
from gateway.scheduling.open_scheduler import open_scheduler, site_of, target_names
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.shared_queue import SharedQueue
from tests.redis_server import redis_server


def home_in(folder: Path) -> Home:
    home = Home(folder)
    home.run.mkdir(parents=True)
    home.pepper.parent.mkdir(parents=True, exist_ok=True)
    home.pepper.write_text(f"1:{'ab' * 32}\n2:{'cd' * 32}\n")
    home.pepper.chmod(0o400)
    return home


def opened(config: Config, home: Home, place: str = "host-0") -> Any:
    return open_scheduler(config, home, place, SystemClock(), lambda _event, _details: None)(lambda _effects: None)


def test_without_a_store_the_queue_is_its_own(tmp_path: Path) -> None:
    assert isinstance(opened(Config(), home_in(tmp_path)), OwnQueue)


async def test_with_a_store_the_gateways_of_a_home_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_queue, "AWAY_S", 60.0)
    for module in (shared_queue, redis_post):  # no lease ends while a busy machine keeps this process waiting
        monkeypatch.setattr(module, "LEASE_S", 60.0)
    home = home_in(tmp_path)
    with redis_server() as server:
        config = Config(gateway=GatewaySettings(processes=2), store=StoreSettings(url=server.url, timeout_ms=30_000))
        queues = [opened(config, home, place) for place in ("host-0", "host-1")]
        for queue in queues:
            assert isinstance(queue, SharedQueue)
            await queue.start()
            assert queue.keeping
        assert [queue.state().role for queue in queues] == ["deciding", "following"]
        assert queues[0].state().foreign == queues[1].state().foreign == 0
        for queue in reversed(queues):
            await queue.close()
            assert not queue.keeping


def test_without_a_pepper_there_is_none(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.pepper.unlink()
    with pytest.raises(UnfitPepper):
        opened(Config(store=StoreSettings(url="redis+unix:///nowhere")), home)


def test_a_site_is_one_run_folder(tmp_path: Path) -> None:
    one, two = home_in(tmp_path / "one"), home_in(tmp_path / "two")
    assert site_of(one) == site_of(Home(tmp_path / "one"))
    assert site_of(one) != site_of(two)


def test_a_server_beyond_this_machine_is_the_same_for_all_and_all_else_is_the_sites() -> None:
    upstreams = (
        UpstreamSettings(name="near", kind="ollama", url="http://127.0.0.1:11434"),
        UpstreamSettings(name="far", kind="ollama", url="https://models.example"),
    )
    here, there = target_names("here", upstreams), target_names("there", upstreams)
    assert here("pool:w") == "pool:w@here"
    assert here("upstream:near") != there("upstream:near")
    assert here("upstream:far") == there("upstream:far")
    moved = UpstreamSettings(name="far", kind="ollama", url="https://others.example")
    assert target_names("here", (moved,))("upstream:far") != here("upstream:far")
