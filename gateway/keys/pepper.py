"""The pepper file: the secret that API keys are hashed with, one version a line.

    1:<64 hex digits>

It lies outside the key store, so that a copy of the store alone is worth nothing. A new version is
added above or below, in any order; new keys take the highest, old keys keep theirs until rotated.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

PEPPER_BYTES = 32
MAX_FILE_BYTES = 64 * 1024
_LINE = re.compile(r"([1-9][0-9]{0,8}):([0-9a-f]{64})")


class UnfitPepper(Exception):
    """The pepper file cannot be used; the message is one line with the path and the remedy, never content."""


def new_pepper_text(random_bytes: Callable[[int], bytes]) -> str:
    """The content of a new file, with version 1."""
    return f"1:{random_bytes(PEPPER_BYTES).hex()}\n"


def load_peppers(path: Path) -> dict[int, bytes]:
    """The peppers in the file at `path`, by version, each 32 bytes. Raises UnfitPepper."""
    try:
        text = _read_private(path)
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not text"
        raise UnfitPepper(f"pepper file {path} cannot be read ({reason}): restore it from your backup") from fault
    peppers: dict[int, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) in peppers:
            raise UnfitPepper(f"pepper file {path}, line {number}: not VERSION:64-HEX-DIGITS with a version of its own")
        peppers[int(match[1])] = bytes.fromhex(match[2])
    if not peppers:
        raise UnfitPepper(f"pepper file {path} is empty: restore it from your backup; without it no key can be checked")
    return peppers


def _read_private(path: Path) -> str:
    """The file's text, once its mode is seen on the open descriptor, so that no swap comes in between."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UnfitPepper(f"pepper file {path} is open to others (mode {mode:04o}): run 'chmod 400 {path}'")
        return file.read(MAX_FILE_BYTES).decode("ascii")
