"""From behind the two walls of a worker nothing else is reached, before the file is opened and after the warm-up.

Beside it the same process without walls, in which every one of these attempts succeeds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import Corral
from tests.intruder import MOMENTS, ROOT
from tests.unit.engine.test_sandbox import WITHOUT_LANDLOCK

pytestmark = pytest.mark.e2e

BY_LANDLOCK = {
    "list the home", "read the keys", "read the policy", "read the TLS key", "read /etc/passwd", "write into the home",
    "make a file", "open the gateway's memory", "read the gateway's environment",
}  # fmt: skip
ATTEMPTS = 22


def intrude(model_file: Path, folder: Path, *, walled: bool) -> dict[str, dict[str, str]]:
    home = folder / ("walled" if walled else "control")
    (home / "tls").mkdir(parents=True)
    for name in ("keys.db", "policy.yaml", "tls/key.pem"):
        (home / name).write_text("secret")
    spec = json.dumps({"home": str(home), "model": str(model_file), "walled": walled})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.intruder", spec],
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (home / "policy.yaml").read_text() == ("secret" if walled else "teams: {}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_nothing_is_reached_from_behind_the_walls_and_all_of_it_without(model_file: Path, tmp_path: Path) -> None:
    control = intrude(model_file, tmp_path, walled=False)
    walled = intrude(model_file, tmp_path, walled=True)

    for moment in MOMENTS:
        assert len(control[moment]) == ATTEMPTS
        assert set(control[moment].values()) == {"done"}, control[moment]
    first, second = (walled[moment] for moment in MOMENTS)
    assert first == {name: "EACCES" if name in BY_LANDLOCK else "EPERM" for name in control[MOMENTS[0]]}
    assert second == dict.fromkeys(control[MOMENTS[1]], "EPERM")


def test_serve_says_once_what_the_kernel_lacks_and_does_not_start(model_file: Path, tmp_path: Path) -> None:
    corral = Corral(tmp_path).make(model_file)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LANDLOCK, "-m", "gateway.cli.main", "serve", "--home", str(corral.home)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("corral: engine.sandbox is required, and this machine lacks landlock (this kernel has none")
    assert "engine.sandbox: best" in last
