"""Writing one file so that it is whole or not there: beside its place, durable, then renamed."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from engine.store.gguf_check import read_model
from engine.store.gguf_header import GgufFault, GgufHeader
from engine.store.store_fault import StoreFault, disk_fault

CHUNK_BYTES = 4 * 1024 * 1024
_TEMPORARY = ".import-"  # no digest, so that nobody takes a half-written file for a blob


@dataclass(frozen=True, slots=True)
class Written:
    """A GGUF file in its place. `digest` is `sha256:` and 64 hex digits."""

    digest: str
    size_bytes: int
    header: GgufHeader


def write_blob(
    source: Path,
    folder: Path,
    progress: Callable[[int, int], None],
    read: Callable[[Path], GgufHeader] = read_model,
) -> Written:
    """Copy the GGUF file `source` into `folder` under its own hash. Raises StoreFault, leaving nothing behind.

    `read` checks the copy and gives its header; it raises GgufFault.
    """
    temporary: Path | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
        temporary = Path(name)
        with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
            digest, size_bytes = _copy(reader, writer, os.fstat(reader.fileno()).st_size, progress)
            make_durable(writer)
        header = read(temporary)  # the copy counts: the source may have changed meanwhile
        temporary.rename(folder / f"sha256-{digest}")
        temporary = None
        sync_folder(folder)
        return Written(f"sha256:{digest}", size_bytes, header)
    except GgufFault as fault:
        raise StoreFault(f"{source}: {fault}", bad_input=True) from None
    except OSError as fault:
        raise disk_fault(fault, folder) from None
    finally:
        if temporary:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole and durable. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(data)
            make_durable(writer)
        Path(name).rename(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content in hex. Raises OSError."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def make_durable(writer: BinaryIO) -> None:
    """Force what was written to the disk; a full disk is often noticed only here."""
    writer.flush()
    os.fsync(writer.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to the disk, a rename among them."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(
    reader: BinaryIO, writer: BinaryIO, total_bytes: int, progress: Callable[[int, int], None]
) -> tuple[str, int]:
    digest, done_bytes = sha256(), 0
    while chunk := reader.read(CHUNK_BYTES):
        writer.write(chunk)
        digest.update(chunk)
        done_bytes += len(chunk)
        progress(done_bytes, max(total_bytes, done_bytes))
    return digest.hexdigest(), done_bytes
