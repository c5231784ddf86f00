"""`make peers`: builds llama-server and llama-batched-bench, and fetches what llama_cpp.server imports.

Order:
 (1) what the machine must have: a C++ compiler, cmake, Corral's own environment with llama-cpp-python in it
 (2) nothing to do where all of it was made from the same lock, libraries and build file
 (3) llama.cpp's tree out of the locked sdist; only the two programs are compiled, against the libraries that the
     workers load
 (4) the programs are asked what they load: anything but those libraries is an error
 (5) the packages of lock/peers.txt, in a folder of their own

Exit status 0 when all is there, 2 when the machine lacks something, 130 when interrupted, else 1.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peers.places import BATCHED_BENCH, LOG, PEERS, PYTHON_SERVER, SERVER, STAMP
from bench.peers.same_library import OURS, differences
from bench.peers.source import locked, obtain
from setup.faults import FAILED, MISSING, SetupFault
from setup.needs import find_compiler
from setup.places import LOCKS, PYTHON, VENV
from setup.progress import run_logged

BUILD_FILE = Path(__file__).with_name("CMakeLists.txt")
ROOM_MIB = 900
"""The sdist's tree, the objects and the programs: 620 MiB measured, rounded up."""


def main(argv: list[str] | None = None) -> int:
    """Build what is missing; see the head of the module."""
    parser = argparse.ArgumentParser(prog="make peers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at the same time")
    jobs = parser.parse_args(argv).jobs
    environment = dict(os.environ)  # noqa: TID251 - this is a main: read once, handed on
    # cmake and ninja are those of Corral's own environment, not the machine's.
    environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    try:
        build(max(1, jobs), environment)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from here", 130)
    except OSError as fault:
        return _complain(f"{fault.filename or 'peers'}: {fault.strerror}", FAILED)
    except SetupFault as fault:
        return _complain(str(fault), fault.status)
    return 0


def build(jobs: int, environment: dict[str, str]) -> None:
    """Have the peers. Raises SetupFault."""
    libraries = _libraries()
    cmake, ninja = _tools(environment["PATH"])
    wanted = _stamp(libraries)
    if STAMP.is_file() and STAMP.read_text() == wanted and SERVER.is_file() and BATCHED_BENCH.is_file():
        print(f"The peers are built: {SERVER.parent}")
        return
    PEERS.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(PEERS).free < ROOM_MIB * 2**20:
        raise SetupFault(f"this machine lacks {ROOM_MIB} MiB of room in {PEERS}", status=MISSING)
    tree = obtain(PEERS, LOG, environment)
    print("Two programs are compiled; about five minutes on two cores.", flush=True)
    configure: list[str | Path] = [cmake, "-G", "Ninja", "-S", BUILD_FILE.parent, "-B", SERVER.parent]
    configure += [f"-D{name}={value}" for name, value in _settings(ninja, tree, libraries).items()]
    run_logged("Configuring the peers", configure, LOG, environment)
    run_logged("Building the peers", [cmake, "--build", SERVER.parent, "--parallel", str(jobs)], LOG, environment)
    for program in (SERVER, BATCHED_BENCH):
        check(program, libraries)
    _fetch_python_server(environment)
    STAMP.write_text(wanted)
    print(f"The peers are built: {SERVER.parent}; they compute with the workers' own libraries")


def check(program: Path, libraries: Path) -> None:
    """Raise SetupFault unless `program` loads the libraries in `libraries`."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    workers = {name: _digest(str(libraries / name)) for name in OURS if (libraries / name).is_file()}
    if wrong := differences(said, workers, _digest):
        raise SetupFault(f"{program.name}: {'; '.join(wrong)}: remove {PEERS} and build again")


def _libraries() -> Path:
    """The folder that the workers load llama.cpp from."""
    found = sorted(VENV.glob("lib/python3*/site-packages/llama_cpp/lib"))
    if not found or not (found[0] / "libllama.so").is_file():
        raise SetupFault("llama-cpp-python is not installed: make install-dev", status=MISSING)
    return found[0]


def _tools(path: str) -> tuple[str, str]:
    """cmake and ninja of Corral's environment; raises SetupFault naming what there is not."""
    cmake, ninja = shutil.which("cmake", path=path), shutil.which("ninja", path=path)
    missing = [f"{name} (make install-dev)" for name, tool in (("cmake", cmake), ("ninja", ninja)) if tool is None]
    if find_compiler("CXX", "c++", "g++", "clang++") is None:
        missing.append("a C++ compiler (apt install g++)")
    if missing or cmake is None or ninja is None:
        raise SetupFault(f"this machine lacks {'; '.join(missing)}", status=MISSING)
    return cmake, ninja


def _settings(ninja: str, tree: Path, libraries: Path) -> dict[str, str | Path]:
    """What CMakeLists.txt wants to know."""
    common = libraries.parents[1] / "lib"
    if not (common / "libllama-common.so").is_file():
        raise SetupFault(f"{common} has no libllama-common.so: remove {VENV}, then make install-dev")
    https = "libssl" in subprocess.run(
        ["ldd", str(common / "libllama-common.so")], capture_output=True, text=True, check=False
    ).stdout  # fmt: skip
    return {
        "CMAKE_MAKE_PROGRAM": ninja,
        "LLAMA_SOURCE": tree,
        "LLAMA_LIBRARIES": libraries,
        "LLAMA_COMMON": common,
        "LLAMA_HTTPS": "ON" if https else "OFF",
    }


def _fetch_python_server(environment: dict[str, str]) -> None:
    shutil.rmtree(PYTHON_SERVER, ignore_errors=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input")
    options = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off", "--no-compile")
    command: list[str | Path] = [*pip, "install", *options, "-r", LOCKS / "peers.txt", "--target", PYTHON_SERVER]
    run_logged("Fetching what llama_cpp.server imports", command, LOG, environment)


def _stamp(libraries: Path) -> str:
    """SHA-256 over all that the peers are made from."""
    parts = [BUILD_FILE.read_text(), locked((LOCKS / "engine.txt").read_text()), (LOCKS / "peers.txt").read_text()]
    parts += [_digest(str(libraries / name)) for name in OURS if (libraries / name).is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complain(message: str, status: int) -> int:
    print(f"corral peers: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
