import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.frames import WorkerRequest
from engine.restarts import RestartRules
from gateway.homes.process_notes import read_notes
from gateway.supervision import engine_keeper
from gateway.supervision.engine_keeper import EngineKeeper
from gateway.supervision.oversight import Oversight
from gateway.supervision.process_ledger import ProcessLedger
from tests.unit.engine.engine_process_fake import FakeProcess, process_plan, worker_hello
from tests.unit.gateway.child_scripts import OBEDIENT, STUBBORN, command, until_noted


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
    logs = await kept(EngineKeeper(command("raise SystemExit(5)", tmp_path / "n"), model_file, pauses))
    for delay_s, least in zip(pauses.delays_s, [0.5, 1, 2, 4, 300, 300, 300], strict=True):
        assert least <= delay_s <= 1.5 * least
    ended = [entry for entry in logs if entry["event"] != "engine_process_started"]
    assert [entry["event"] for entry in ended[3:]] == ["engine_process_ended"] + ["engine_process_quarantined"] * 3
    assert ended[0]["cause"] == "ended with status 5"


async def test_one_that_ends_with_status_0_is_in_a_crash_loop_too(tmp_path: Path, model_file: Path) -> None:
    pauses = Pauses(5)
    logs = await kept(EngineKeeper(command("", tmp_path / "n"), model_file, pauses))
    assert pauses.delays_s[-1] == 300.0
    assert logs[-1]["event"] == "engine_process_quarantined"


@pytest.mark.parametrize(("stay_s", "then"), [(60.0, ["backing_off"]), (0.0, ["stopped", "starting"])])
@pytest.mark.parametrize("was_heard", [True, False])
async def test_one_that_leaves_as_soon_as_it_serves_cannot_keep_its_keeper_busy(
    tmp_path: Path, model_file: Path, was_heard: bool, stay_s: float, then: list[str]
) -> None:
    states, pauses = States(tmp_path), Pauses(1)
    rules = RestartRules(shortest_stay_s=stay_s)
    oversight = Oversight(process_plan(tmp_path / "w"), ledger=states.ledger, rules=rules)
    if not was_heard:
        states.served.touch()  # it waits for nobody
    been, served = str(tmp_path / "been"), str(states.served)
    script = f"""
import os, time
if os.path.exists({been!r}): os._exit(5)  # it leaves for another tenant the first time, and dies the second
for _ in range(6000):
    if os.path.exists({served!r}): break
    time.sleep(0.01)
open({been!r}, 'w'); os._exit(6)
"""
    async with FakeProcess(tmp_path / ("w" if was_heard else "elsewhere"), WorkerRequest, worker_hello()):
        await kept(EngineKeeper(command(script, tmp_path / "n"), model_file, pauses, oversight=oversight))
    first = ["starting", "loading", *(["serving"] if was_heard else []), *then]
    assert states.seen[: len(first)] == first
    assert (pauses.delays_s[0] > 50) == bool(stay_s)
    assert len(read_notes(states.file).deaths) == (0 if stay_s else 1)


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


class States:
    """A ledger that keeps the states it is told of; `served` is there once the process was heard to serve."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "processes.json"
        self.served = folder / "served"
        self.seen: list[str] = []
        self.ledger = ProcessLedger(self.file)
        told = self.ledger.changed

        def changed(note: Any) -> None:
            self.seen.append(note.state)
            told(note)
            if note.state == "serving":
                self.served.touch()

        self.ledger.changed = changed  # type: ignore[method-assign]


async def test_the_states_of_a_life_are_told_and_its_end_named(tmp_path: Path, model_file: Path) -> None:
    states = States(tmp_path)
    oversight = Oversight(process_plan(tmp_path / "w"), ledger=states.ledger)
    keeper = EngineKeeper(
        command("note('up'); raise SystemExit(5)", tmp_path / "n"), model_file, Pauses(2), oversight=oversight
    )
    await kept(keeper)
    assert states.seen == ["starting", "loading", "backing_off", "stopped", "starting", "loading", "backing_off"]
    notes = read_notes(states.file)
    assert [(each.state, each.deaths, each.cause) for each in notes.processes] == [
        ("backing_off", {"status": 2}, "ended with status 5")
    ]
    assert [(each.number, each.kind, each.quarantined) for each in notes.deaths] == [
        (1, "status", False),
        (2, "status", False),
    ]
    assert keeper.state == "backing_off"
    await keeper.stop()
    assert states.seen[-1] == "stopped"


async def test_a_worker_that_stands_still_is_killed_named_and_replaced(tmp_path: Path, model_file: Path) -> None:
    states = States(tmp_path)
    oversight = Oversight(process_plan(tmp_path / "w"), stuck_after_s=0.4, ledger=states.ledger)
    async with FakeProcess(tmp_path / "w", WorkerRequest, worker_hello()):  # it greets, and answers no question
        keeper = EngineKeeper(command(STUBBORN, tmp_path / "n"), model_file, Pauses(1), oversight=oversight)
        logs = await kept(keeper)
    assert states.seen == ["starting", "loading", "serving", "stuck", "backing_off"]
    [death] = read_notes(states.file).deaths
    assert death.kind == "no_progress"
    assert re.fullmatch(r"no progress for \d+ s, so it was killed", death.cause)
    assert "engine_process_stuck" in {entry["event"] for entry in logs}


async def test_five_deaths_are_a_quarantine_by_the_rules_given(tmp_path: Path, model_file: Path) -> None:
    states, pauses = States(tmp_path), Pauses(3)
    rules = RestartRules(deaths=2, quarantine_s=77.0)
    oversight = Oversight(ledger=states.ledger, rules=rules)
    await kept(EngineKeeper(command("raise SystemExit(5)", tmp_path / "n"), model_file, pauses, oversight=oversight))
    assert pauses.delays_s[1:] == [77.0, 77.0]
    assert states.seen[-1] == "quarantined"
    assert [each.quarantined for each in read_notes(states.file).deaths] == [False, True, True]


async def test_a_watch_that_fails_costs_the_process_nothing(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oversight = Oversight(stuck_after_s=0.04)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(oversight, "look", broken)
    script = "import time; time.sleep(0.5); raise SystemExit(5)"
    logs = await kept(EngineKeeper(command(script, tmp_path / "n"), model_file, Pauses(1), oversight=oversight))
    events = [entry["event"] for entry in logs]
    assert events == ["engine_process_started", "watch_failed", "engine_process_ended"]


async def test_a_process_that_was_stopped_while_it_is_kept_is_not_started_again(
    tmp_path: Path, model_file: Path
) -> None:
    keeper = EngineKeeper(command(OBEDIENT, tmp_path / "n"), model_file, Pauses(1))
    keeping = asyncio.create_task(keeper.keep())
    await until_noted(tmp_path / "n", "up")
    await keeper.stop()
    await asyncio.wait_for(keeping, 30)
    assert keeper.state == "stopped"


class Leaves:
    """An upkeep by which the process leaves once, and then may not run again."""

    overdue = False

    def __init__(self) -> None:
        self.starts = 0
        self.ends: list[str] = []

    async def may_start(self) -> None:
        self.starts += 1
        if self.starts == 2:
            raise asyncio.CancelledError

    def was_to_leave(self) -> bool:
        return True

    def is_overdue(self) -> bool:
        return self.overdue

    def ended(self, cause: str, delay_s: float, *, quarantined: bool) -> None:
        self.ends.append(cause)


async def test_one_that_made_room_did_not_die(tmp_path: Path, model_file: Path) -> None:
    states, upkeep = States(tmp_path), Leaves()
    oversight = Oversight(ledger=states.ledger)
    keeper = EngineKeeper(command("", tmp_path / "n"), model_file, Pauses(1), upkeep, oversight)
    logs = await kept(keeper)
    assert [entry["event"] for entry in logs] == ["engine_process_started", "engine_process_left"]
    assert states.seen == ["starting", "loading", "stopped"]
    assert (upkeep.ends, read_notes(states.file).deaths) == ([], ())


async def test_one_that_does_not_make_room_in_time_is_killed(tmp_path: Path, model_file: Path) -> None:
    upkeep = Leaves()
    oversight = Oversight(stuck_after_s=4.0)
    keeper = EngineKeeper(command(STUBBORN, tmp_path / "n"), model_file, Pauses(1), upkeep, oversight)
    keeping = asyncio.create_task(keeper.keep())
    await until_noted(tmp_path / "n", "up")
    assert keeper.state == "loading"
    upkeep.overdue = True
    await asyncio.wait({keeping}, timeout=60)
    assert keeping.cancelled()
    assert (keeper.state, upkeep.starts, upkeep.ends) == ("stopped", 2, [])


STOPPED = "import os, signal; note('up'); os.kill(os.getpid(), signal.SIGSTOP)"


async def test_one_that_was_stopped_while_it_loads_is_found_too(tmp_path: Path, model_file: Path) -> None:
    states = States(tmp_path)
    oversight = Oversight(process_plan(tmp_path / "w"), stuck_after_s=0.04, ledger=states.ledger)
    keeper = EngineKeeper(command(STOPPED, tmp_path / "n"), model_file, Pauses(1), oversight=oversight)
    await kept(keeper)
    assert states.seen == ["starting", "loading", "stuck", "backing_off"]


async def test_one_that_only_waits_while_it_loads_is_not(tmp_path: Path, model_file: Path) -> None:
    states = States(tmp_path)
    oversight = Oversight(process_plan(tmp_path / "w"), stuck_after_s=0.04, ledger=states.ledger)
    script = "import time; time.sleep(1.0); raise SystemExit(5)"
    await kept(EngineKeeper(command(script, tmp_path / "n"), model_file, Pauses(1), oversight=oversight))
    assert states.seen == ["starting", "loading", "backing_off"]


async def test_one_that_is_told_to_end_is_left_to_its_grace(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_keeper, "STOP_GRACE_S", 3.0)
    states = States(tmp_path)
    oversight = Oversight(stuck_after_s=0.15, ledger=states.ledger)  # 1.5 s while it does not serve
    keeper = EngineKeeper(command(STOPPED, tmp_path / "n"), model_file, Pauses(1), oversight=oversight)
    keeping = asyncio.create_task(keeper.keep())
    await until_noted(tmp_path / "n", "up")
    await keeper.stop()
    await asyncio.wait_for(keeping, 30)
    assert states.seen == ["starting", "loading", "ending", "stopped"]


class Stays(Leaves):
    """An upkeep that never told the process to go, and finds that it has been leaving for too long."""

    def was_to_leave(self) -> bool:
        return False


async def test_one_that_says_that_it_leaves_and_stays_is_killed_as_stuck_and_that_is_a_death(
    tmp_path: Path, model_file: Path
) -> None:
    states, upkeep = States(tmp_path), Stays()
    oversight = Oversight(stuck_after_s=0.4, ledger=states.ledger)
    keeper = EngineKeeper(command(STUBBORN, tmp_path / "n"), model_file, Pauses(1), upkeep, oversight)
    keeping = asyncio.create_task(keeper.keep())
    await until_noted(tmp_path / "n", "up")
    upkeep.overdue = True
    await asyncio.wait({keeping}, timeout=60)
    assert keeping.cancelled()
    [death] = read_notes(states.file).deaths
    assert (death.kind, death.cause) == ("no_progress", "it said that it leaves and stayed too long, so it was killed")
    assert upkeep.ends == [death.cause]


async def test_a_model_that_cannot_be_loaded_is_an_error_in_the_log(tmp_path: Path, model_file: Path) -> None:
    script = "print('worker: cannot load m: no such tensor', flush=True); raise SystemExit(3)"
    process = msgspec.structs.replace(command(script, tmp_path / "n"), relayed=True)
    logs = await kept(EngineKeeper(process, model_file, Pauses(1)))
    [found] = [each for each in logs if each["event"] == "model_cannot_be_loaded"]
    assert found["log_level"] == "error"
    assert found["cause"].startswith("ended with status 3")
