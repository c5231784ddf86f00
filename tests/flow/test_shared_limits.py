"""The real app, without listeners, on a shared store: which one it takes, and what the log says when it goes."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import App, opened
from gateway.audit.audit_log import AuditLog
from gateway.configuration.settings import StoreSettings
from gateway.homes.run_folder import open_run_folder
from gateway.limits.fallback_store import FallbackStore
from gateway.limits.redis_connection import SharedStoreFault
from gateway.setting import Setting
from policies.audit_record import Entry
from policies.errors import RateLimited
from policies.limiting.limits import RateClaim
from policies.limiting.rate_limit import Rate
from tests.flow.test_housekeeping import PLAN, make_home, setting_of
from tests.redis_server import redis_server

ONE = RateClaim("requests:a", Rate(1, 1))


def shared(tmp_path: Path, **store: Any) -> Setting:
    home = make_home(tmp_path / "home", PLAN).home
    open_run_folder(home.run)
    setting = setting_of(home)
    return replace(setting, config=replace(setting.config, store=StoreSettings(**store)))


async def metrics_of(app: App) -> dict[str, float]:
    page = (await app._metrics_page()).decode()
    lines = [line.split() for line in page.splitlines() if line.startswith("corral_shared_store{")]
    return {name.split('"')[1]: float(value) for name, value in lines}


async def test_redis_going_and_coming_back_is_in_the_log_and_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: asyncio.Queue[Entry] = asyncio.Queue()
    record = AuditLog.record

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        if entry["event"].startswith("limits."):
            heard.put_nowait(entry)

    monkeypatch.setattr(AuditLog, "record", overheard)
    with redis_server() as server:
        async with opened(shared(tmp_path, url=server.url, timeout_ms=1000)) as app:
            store = app.gate.store
            assert isinstance(store, FallbackStore)
            await store.take((ONE,))
            assert await metrics_of(app) == {"away": 0, "gateways": 1, "present": 1, "failures": 0, "owed": 0}
            server.kill()
            with pytest.raises(RateLimited):
                await store.take((ONE,))
            degraded = await asyncio.wait_for(heard.get(), 30)
            assert (await metrics_of(app))["away"] == 1
            server.start()
            restored = await asyncio.wait_for(heard.get(), 30)
    assert degraded["event"] == "limits.degraded"
    assert degraded["details"] == {"reason": "unreachable", "gateways": 1, "mode": "local"}
    assert restored["event"] == "limits.restored"
    assert restored["details"]["reason"] == "unreachable"
    assert json.dumps([degraded, restored])


async def test_a_password_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SharedStoreFault, match="password_file"):
        async with opened(shared(tmp_path, url="rediss://redis.example", password_file="none")):
            raise AssertionError("it must not start")
