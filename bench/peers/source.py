"""llama.cpp's tree out of the locked sdist of llama-cpp-python: fetched by pip, checked against the lock's hashes."""

import re
import shutil
import tarfile
from pathlib import Path

from setup.faults import SetupFault
from setup.places import LOCKS, PYTHON
from setup.progress import run_logged

PACKAGE = "llama-cpp-python"
TREE = "vendor/llama.cpp"


def locked(lock: str, package: str = PACKAGE) -> str:
    """The pin of `package` and its hashes as they stand in the text of a lock. Raises SetupFault."""
    entry = re.search(rf"^{re.escape(package)}==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    if entry is None:
        raise SetupFault(f"the lock does not name {package}: make lock")
    lines = [line for line in entry[0].splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).rstrip("\\ \n") + "\n"


def obtain(folder: Path, log: Path, environment: dict[str, str]) -> Path:
    """llama.cpp's tree below `folder`; fetched where there is none, or not the locked one. Raises SetupFault."""
    tree = folder / "source" / TREE
    requirement, pin = folder / "sdist.txt", locked((LOCKS / "engine.txt").read_text())
    if (tree / "CMakeLists.txt").is_file() and requirement.is_file() and requirement.read_text() == pin:
        return tree
    fetched = folder / "sdist"
    for stale in (folder / "source", folder / "source.partial", fetched):
        shutil.rmtree(stale, ignore_errors=True)
    requirement.write_text(pin)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input")
    options = ("--no-deps", "--require-hashes", "--no-build-isolation", f"--no-binary={PACKAGE}", "--progress-bar=off")
    command: list[str | Path] = [*pip, "download", *options, "-r", requirement, "-d", fetched]
    run_logged("Fetching the locked sources", command, log, environment)
    (archive,) = fetched.glob("*.tar.gz")
    unpack(archive, folder / "source")
    archive.unlink()
    return tree


def unpack(archive: Path, target: Path) -> None:
    """All below the archive's one top folder into `target`, which appears whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    with tarfile.open(archive) as packed:
        packed.extractall(partial, filter="data")
    (top,) = partial.iterdir()
    top.rename(target)
    partial.rmdir()
