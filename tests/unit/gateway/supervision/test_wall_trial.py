"""The child that tries the walls, and what its answer means for a start."""

import sys

import msgspec
import pytest

from engine.wall_probe import WallTrial
from gateway.supervision import wall_trial
from gateway.supervision.wall_trial import try_walls, wall_faults
from tests.unit.gateway.doctor.test_walls_check import NONE, WHOLE


def saying(trial: WallTrial) -> tuple[str, ...]:
    return (sys.executable, "-c", f"print({msgspec.json.encode(trial).decode()!r})")


def test_the_walls_of_this_machine_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall_trial, "TIMEOUT_S", 120.0)
    trial = try_walls()
    assert isinstance(trial, WallTrial)
    assert trial.missing == ()
    assert wall_faults("required") == []


def test_a_child_that_cannot_tell_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_walls((sys.executable, "-c", "raise SystemExit('no luck')")) == "the walls could not be tried: no luck"
    assert try_walls((sys.executable, "-c", "raise SystemExit(3)")) == "the walls could not be tried: status 3"
    assert str(try_walls(("/no/such/python",))).startswith("the walls could not be tried: ")
    monkeypatch.setattr(wall_trial, "TIMEOUT_S", 0.01)
    assert "timed out" in str(try_walls((sys.executable, "-c", "import time; time.sleep(20)")))


def test_only_a_required_wall_that_is_missing_prevents_a_start() -> None:
    assert wall_faults("required", saying(WHOLE)) == []
    assert wall_faults("best", saying(NONE)) == []
    assert wall_faults("required", (sys.executable, "-c", "")) == []
    (fault,) = wall_faults("required", saying(NONE))
    assert fault.startswith("engine.sandbox is required, and this machine lacks landlock (none): ")
    assert "engine.sandbox: best" in fault
