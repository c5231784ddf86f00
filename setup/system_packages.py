"""What `make test` needs of Debian's packages: installed when root, else named."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from setup.faults import MISSING, SetupFault

NEEDED: dict[str, Callable[[], bool]] = {
    "g++": lambda: shutil.which("g++") is not None,
    "python3-venv": lambda: importlib.util.find_spec("ensurepip") is not None,
    "openssh-client": lambda: shutil.which("ssh-keygen") is not None,
    # The audit log's checkpoints and proofs are checked by Go's own packages (tests/third_party).
    "golang-go": lambda: shutil.which("go") is not None,
    "golang-golang-x-mod-dev": lambda: Path("/usr/share/gocode/src/golang.org/x/mod/sumdb").is_dir(),
    "redis-server": lambda: shutil.which("redis-server") is not None,
    # The console is walked through in a real browser (tests/browser), and looked at in Chinese too.
    "chromium": lambda: shutil.which("chromium") is not None,
    "fonts-wqy-microhei": lambda: Path("/usr/share/fonts/truetype/wqy").is_dir(),
}
# Nothing may ask, and no service may be started.
APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def have_packages(*, root: bool) -> None:
    """Have every needed package. Raises SetupFault, status 2, with the line for root to type."""
    lacking = [package for package, is_there in NEEDED.items() if not is_there()]
    if not lacking:
        return
    if not root:
        raise SetupFault(f"the tests need more of this machine: sudo apt install {' '.join(lacking)}", status=MISSING)
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *lacking]):
        ended = subprocess.run(["apt-get", *command], env={**os.environ, **APT_ENVIRONMENT}, check=False)
        if ended.returncode != 0:
            raise SetupFault(f"apt-get {command[0]} failed; the tests need {' '.join(lacking)}")
