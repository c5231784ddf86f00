"""The plan on disk: the supervisor writes it before it starts anything, each gateway process reads it."""

import os
from pathlib import Path

import msgspec

from engine.plan import Plan, PlanFault


def write_plan(path: Path, plan: Plan) -> None:
    """Write `plan` to `path` in one move, mode 0600, so that a reader sees the old plan or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(plan))
    fresh.replace(path)


def read_plan(path: Path) -> Plan:
    """The plan at `path`. Raises PlanFault when there is none or it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as fault:
        raise PlanFault(f"cannot read the engine plan {path} ({fault.strerror}): start with 'corral serve'") from None
    except msgspec.MsgspecError as fault:
        raise PlanFault(f"{path} is not an engine plan ({fault}): restart 'corral serve'") from None
