"""Which walls this kernel gives the engine's processes, and complaints about those it does not. Pure: a trial in.

The trial has raised them and knocked (`engine.wall_probe`); nothing here is taken from a version number, but for what
a landlock ABI means.
"""

from collections.abc import Iterator

from engine.settings import Sandbox
from engine.wall_probe import PASSED, WallTrial
from gateway.doctor.complaint import Complaint

LANDLOCK_ADDS = {
    1: "files",
    2: "moving files between folders",
    3: "truncating files",
    4: "TCP",
    5: "ioctl on devices",
    6: "signals and abstract sockets",
    8: "threads that were there before",
    9: "connecting to socket paths",
}
"""What each ABI adds that the walls use. Below, the system-call filters refuse the same where they can name it."""
REMEDY = "a kernel with landlock and seccomp (Linux 5.13), switched on in its list of security modules"


def wall_lines(trial: WallTrial | str) -> tuple[str, ...]:
    """Which walls stand, one a line."""
    if isinstance(trial, str):
        return (f"walls: {trial}",)
    calls = "allow list of system calls" if trial.second_seccomp else "no allow list"
    files = "no file for any thread" if trial.binds_all_threads else "no file for the serving thread"
    return (
        f"landlock: {_landlock_text(trial.landlock_abi)}",
        f"first wall: {_parts(trial)}; tried: {_tried(trial.first)}",
        f"second wall: {calls}, {files}; tried: {_tried(trial.second)}",
    )


def wall_complaints(trial: WallTrial | str, sandbox: Sandbox) -> Iterator[Complaint]:
    """One for each gap, and one for each attempt that a wall let through."""
    if isinstance(trial, str):
        yield _complaint(trial, sandbox)
        return
    for gap in trial.missing:
        yield _complaint(f"this machine lacks {gap}", sandbox)
    for name, outcome in {**trial.first, **trial.second}.items():
        if outcome == PASSED and not trial.missing:
            yield _complaint(f"a process behind its walls could still {name}", sandbox)


def _complaint(what: str, sandbox: Sandbox) -> Complaint:
    why = {
        "required": "no model is served without every wall (engine.sandbox: required)",
        "best": "models are served with less around them (engine.sandbox: best)",
    }
    return Complaint(check="walls", what=what, why=why[sandbox], remedy=f"use {REMEDY}")


def _landlock_text(abi: int) -> str:
    used = ", ".join(text for least, text in LANDLOCK_ADDS.items() if least <= abi)
    return f"ABI {abi}, which guards {used}" if abi else "none"


def _parts(trial: WallTrial) -> str:
    parts = {
        "no_new_privs": trial.no_new_privs,
        "capabilities dropped": trial.capabilities_dropped,
        "seccomp": trial.seccomp,
    }
    return ", ".join(name if stands else f"not {name}" for name, stands in parts.items())


def _tried(outcomes: dict[str, str]) -> str:
    return ", ".join(f"{name} {'passed' if outcome == PASSED else 'refused'}" for name, outcome in outcomes.items())
