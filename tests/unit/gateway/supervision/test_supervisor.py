import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.supervision.engine_keeper import EngineKeeper
from gateway.supervision.gateway_keeper import GatewayKeeper
from gateway.supervision.supervisor import Supervisor
from tests.unit.gateway.child_scripts import GATEWAY, OBEDIENT, command, noted, until_noted


class Scene:
    """A supervisor over one engine process and a gateway, all of them scripts."""

    def __init__(self, tmp_path: Path, gateway: str = GATEWAY, engine: str = OBEDIENT) -> None:
        self.gateway_notes, self.engine_notes = tmp_path / "gateway", tmp_path / "engine"
        (tmp_path / "model").write_text("x")
        self.ready = asyncio.Event()
        self.may_replace = True
        self.asked = threading.Event()
        self.engine = EngineKeeper(command(engine, self.engine_notes), tmp_path / "model")
        self.gateway = GatewayKeeper(
            lambda fd: command(f"READY_FD = {fd}\n{gateway}", self.gateway_notes, passed_fds=(fd,)),
            drain_s=3600,
            on_ready=self.ready.set,
        )
        self.supervisor = Supervisor([self.engine], self.gateway, self._asked)

    def _asked(self) -> bool:
        self.asked.set()
        return self.may_replace

    async def up(self) -> "asyncio.Task[int]":
        running = asyncio.create_task(self.supervisor.run())
        await asyncio.wait_for(self.ready.wait(), 60)
        await until_noted(self.engine_notes, "up")
        return running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_gateway_and_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    at = Scene(tmp_path)
    running = await at.up()
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(running, 60) == 0
    assert noted(at.gateway_notes) == ["ready", "drained"]
    assert at.engine._child is not None
    assert not at.engine._child.running


async def test_a_second_signal_ends_the_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.supervision.gateway_keeper.HURRIED_GRACE_S", 0.05)
    at = Scene(tmp_path, GATEWAY.replace("os._exit(0)", "0"))
    running = await at.up()
    os.kill(os.getpid(), signal.SIGTERM)
    await until_noted(at.gateway_notes, "ready", "drained")
    assert at.engine._child is not None
    assert at.engine._child.running  # workers go on while the gateway drains
    os.kill(os.getpid(), signal.SIGHUP)  # too late for a replacement
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0


async def test_sighup_replaces_the_gateway_and_leaves_the_engine(tmp_path: Path) -> None:
    at = Scene(tmp_path)
    running = await at.up()
    os.kill(os.getpid(), signal.SIGHUP)
    await until_noted(at.gateway_notes, "ready", "ready", "drained")
    assert noted(at.engine_notes) == ["up"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0


async def test_sighup_changes_nothing_while_the_files_may_not_be_started_with(tmp_path: Path) -> None:
    at = Scene(tmp_path)
    at.may_replace = False
    running = await at.up()
    others = set(at.supervisor._tasks)
    os.kill(os.getpid(), signal.SIGHUP)
    assert await asyncio.to_thread(at.asked.wait, 60)
    await asyncio.gather(*(at.supervisor._tasks - others))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0
    assert noted(at.gateway_notes) == ["ready", "drained"]


async def test_a_gateways_bad_configuration_is_the_supervisors(tmp_path: Path) -> None:
    at = Scene(tmp_path, "raise SystemExit(2)")
    assert await asyncio.wait_for(at.supervisor.run(), 60) == 2
    assert at.engine._child is None or not at.engine._child.running


async def test_a_bug_in_one_keeper_is_logged_and_stops_nothing(tmp_path: Path) -> None:
    at = Scene(tmp_path)

    async def buggy() -> None:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        running = await at.up()
        at.supervisor._begin(buggy())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not running.done()
    assert [entry["error"] for entry in logs if entry["event"] == "supervision_failed"] == ["RuntimeError"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0


async def test_what_loads_models_runs_beside_the_keepers_and_ends_with_them(tmp_path: Path) -> None:
    at = Scene(tmp_path)
    acts: list[str] = []

    async def load() -> None:
        acts.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            acts.append("ended")

    at.supervisor = Supervisor([at.engine], at.gateway, at._asked, load)
    running = await at.up()
    assert acts == ["begun"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0
    assert acts == ["begun", "ended"]


async def test_where_loading_cannot_be_kept_the_supervisor_ends_with_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Scene(tmp_path)

    async def given_up(_load: object) -> int:
        await at.ready.wait()
        return 1

    async def load() -> None:
        """Never begun."""

    monkeypatch.setattr("gateway.supervision.supervisor.keep_loading", given_up)
    supervisor = Supervisor([at.engine], at.gateway, lambda: True, load)
    assert await asyncio.wait_for(supervisor.run(), 60) == 1
    assert at.engine._child is None or not at.engine._child.running
