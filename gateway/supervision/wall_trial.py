"""Asks a child process what of the engine's walls stands on this machine (`engine.wall_probe`).

`corral serve` asks so that it can say once, as it starts, what every process would say again and again. It decides
nothing: each process raises its own walls, and ends without them.
"""

import subprocess
import sys

import msgspec

from engine.settings import Sandbox
from engine.wall_probe import WallTrial
from gateway.supervision.child_commands import engine_environment

TIMEOUT_S = 30.0
COMMAND = (sys.executable, "-P", "-m", "engine.wall_probe")


def try_walls(command: tuple[str, ...] = COMMAND) -> WallTrial | str:
    """What stands; or one sentence when the child could not tell."""
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and arguments, no shell
            command, env=engine_environment(), capture_output=True, timeout=TIMEOUT_S, check=False, cwd="/"
        )
        return msgspec.json.decode(done.stdout, type=WallTrial)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"the walls could not be tried: {fault}"
    except msgspec.DecodeError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"the walls could not be tried: {last[0] if last else f'status {done.returncode}'}"


def wall_faults(sandbox: Sandbox, command: tuple[str, ...] = COMMAND) -> list[str]:
    """Why `sandbox` lets no model be served on this machine, one line; nothing where it can, or nobody could tell."""
    trial = try_walls(command) if sandbox == "required" else None
    if not isinstance(trial, WallTrial) or not trial.missing:
        return []
    lack = "; ".join(trial.missing)
    remedy = "switch it on in the kernel, or say engine.sandbox: best to serve with what there is"
    return [f"engine.sandbox is required, and this machine lacks {lack}: {remedy}"]
