"""Which model files were hashed already, so that a second start does not read them all again.

A file counts as unchanged while its inode, size, mtime and ctime are what they were when its digest was
verified. mtime alone can be set by anyone who writes the file; ctime cannot be set without the clock.
The memory lies in HOME/run, so deleting that folder makes every file be hashed again.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.homes.private_file import write_private
from policies.call import ModelCard


class Stored(Protocol):
    """An entry of the store, and the file that is its own: a model's, or an adapter's."""

    @property
    def card(self) -> ModelCard: ...
    @property
    def model_file(self) -> str: ...


class FileFacts(Struct, frozen=True):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


Memory = dict[str, tuple[str, FileFacts]]
"""By name and path, for a file may have several names: the digest that was verified, and the file's facts then."""


def verify_once(models: Iterable[Stored], memory_file: Path, verify: Callable[[str], object]) -> None:
    """Call `verify(name)`, which raises for a wrong digest, for each model whose file is new or changed.

    Raises what `verify` raises, and OSError for a file that cannot be looked at.
    """
    memory = _read(memory_file)
    verified: Memory = {}
    for model in models:
        # Facts first: a file changed while it is hashed differs from them at the next start.
        entry = (model.card.digest, _facts(model.model_file))
        place = f"{model.card.name} {model.model_file}"
        if memory.get(place) != entry:
            verify(model.card.name)
        verified[place] = entry
    _write(memory_file, verified)


def _facts(path: str) -> FileFacts:
    facts = os.stat(path)  # noqa: PTH116  # a str, and one call
    return FileFacts(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _read(path: Path) -> Memory:
    """What was remembered; nothing when the file is missing or damaged, since then all is hashed again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(path: Path, memory: Memory) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, msgspec.json.encode(memory), mode=0o600)
    fresh.replace(path)
