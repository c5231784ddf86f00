import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.supervision.engine_keeper import EngineKeeper
from tests.unit.gateway.child_scripts import OBEDIENT, command, until_noted


class Pauses:
    """Waits no time; ends the keeper after so many."""

    def __init__(self, most: int) -> None:
        self.delays_s: list[float] = []
        self._most = most

    async def __call__(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)
        if len(self.delays_s) == self._most:
            raise asyncio.CancelledError


async def kept(keeper: EngineKeeper) -> list[Any]:
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await keeper.keep()
    return logs


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    (tmp_path / "model").write_text("x")
    return tmp_path / "model"


async def test_a_crash_loop_slows_down_and_ends_in_quarantine(tmp_path: Path, model_file: Path) -> None:
    pauses = Pauses(7)
    logs = await kept(EngineKeeper(command("raise SystemExit(4)", tmp_path / "n"), model_file, pauses))
    for delay_s, least in zip(pauses.delays_s, [0.5, 1, 2, 4, 8, 300, 300], strict=True):
        assert least <= delay_s <= 1.5 * least
    ended = [entry for entry in logs if entry["event"] != "engine_process_started"]
    assert [entry["event"] for entry in ended[4:]] == ["engine_process_ended"] + ["engine_process_quarantined"] * 2
    assert ended[0]["cause"] == "ended with status 4"


async def test_a_process_that_ends_at_its_own_limit_is_never_quarantined(tmp_path: Path, model_file: Path) -> None:
    pauses = Pauses(8)
    hangs = "import os, signal; os.kill(os.getpid(), signal.SIGPROF)"
    logs = await kept(EngineKeeper(command(hangs, tmp_path / "n"), model_file, pauses))
    assert all(0.5 <= delay_s <= 0.75 for delay_s in pauses.delays_s)
    assert "engine_process_quarantined" not in {entry["event"] for entry in logs}


async def test_a_model_file_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    (entry,) = await kept(EngineKeeper(command("", tmp_path / "n"), gone, Pauses(1)))
    assert entry["cause"] == f"cannot read the model file {gone}: No such file or directory"


async def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path, model_file: Path) -> None:
    broken = msgspec.structs.replace(command("", tmp_path / "n"), argv=("/no/such/program",))
    logs = await kept(EngineKeeper(broken, model_file, Pauses(2)))
    assert [entry["cause"] for entry in logs] == ["cannot be started: No such file or directory"] * 2


async def test_a_keeper_that_stops_keeping_leaves_the_process_until_stop(tmp_path: Path, model_file: Path) -> None:
    keeper = EngineKeeper(command(OBEDIENT, tmp_path / "n"), model_file)
    await keeper.stop()  # nothing runs yet
    keeping = asyncio.create_task(keeper.keep())
    await until_noted(tmp_path / "n", "up")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    child = keeper._child
    assert child is not None
    assert child.running
    await keeper.stop()
    assert await child.wait() == 0
