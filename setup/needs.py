"""What the machine must have before anything is installed, and how to get it. Never needs root itself."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from setup.faults import MISSING, SetupFault

MIB = 1024 * 1024
# Measured on x86-64, rounded up: the environment with the development tools takes 522 MiB, the model 94 in the cache,
# as much in the store and for a moment as much again in its wheel.
VENV_MIB = 900
# Measured: llama.cpp's sources, objects and wheel in the temporary directory take 398 MiB at their largest.
BUILD_MIB = 600


def check_machine(venv: Path) -> None:
    """Refuse with one line naming everything that is missing. Raises SetupFault, status 2."""
    missing = [*missing_packages(), *missing_space(venv)]
    if not sys.platform.startswith("linux"):
        missing = ["a Linux kernel: the workers are walled in with Landlock and seccomp"]
    if missing:
        raise SetupFault(f"this machine lacks {'; '.join(missing)}", status=MISSING)


def missing_packages() -> Iterator[str]:
    """What a Debian or Ubuntu package would bring."""
    if importlib.util.find_spec("ensurepip") is None:
        yield "python3-venv (apt install python3-venv)"
    if not (find_compiler("CC", "cc", "gcc", "clang") and find_compiler("CXX", "c++", "g++", "clang++")):
        yield "a C++ compiler (apt install g++)"


def find_compiler(variable: str, *names: str) -> str | None:
    """The compiler CMake would take: the one the variable names, else the first that exists."""
    named = os.environ.get(variable, "").split()
    return next((found for name in (named[:1] or names) if (found := shutil.which(name))), None)


def missing_space(venv: Path) -> Iterator[str]:
    """Places without room for what will be written there; counted together when they share a file system."""
    temporary = Path(tempfile.gettempdir())
    wanted = {venv.parent: VENV_MIB, temporary: BUILD_MIB}
    if venv.parent.stat().st_dev == temporary.stat().st_dev:
        wanted = {venv.parent: VENV_MIB + BUILD_MIB}
    for place, mib in wanted.items():
        free_mib = shutil.disk_usage(place).free // MIB
        if free_mib < mib:
            yield f"room in {place}: {mib} MiB are needed, {free_mib} MiB are free"
