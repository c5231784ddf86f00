"""A secret of the home in a file of its own, 32 bytes in hex, mode 0600; and the keys that are drawn from it.

One secret, one key for each purpose (HMAC-SHA-256 over the purpose, RFC 5869's expand step with one block), so that
no key is ever used for two things.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from gateway.homes.private_file import sync_directory, write_private

SECRET_BYTES = 32
_FORM = re.compile(rb"1:([0-9a-f]{64})\n")


class KeysNotOpened(Exception):
    """What opens the log's sealed parts cannot be used; the message is one line with the remedy, never content."""


class UnfitSecret(KeysNotOpened):
    """The secret itself cannot be used."""


def make_secret(path: Path) -> None:
    """A fresh secret at `path`, which must not exist; lasting when this returns. Raises OSError."""
    write_private(path, b"1:%s\n" % secrets.token_hex(SECRET_BYTES).encode("ascii"), mode=0o600)
    sync_directory(path.parent)


def load_secret(path: Path) -> bytes:
    """The secret at `path`. Raises UnfitSecret."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(256)
    except OSError as fault:
        raise UnfitSecret(f"{path} cannot be read ({fault.strerror}): restore it from your backup") from fault
    if mode & 0o077:
        raise UnfitSecret(f"{path} is open to others (mode {mode:04o}): run 'chmod 600 {path}'")
    match = _FORM.fullmatch(content)
    if match is None:
        raise UnfitSecret(f"{path} is not what Corral wrote: restore it from your backup")
    return bytes.fromhex(match[1].decode("ascii"))


def purpose_key(secret: bytes, purpose: str) -> bytes:
    """The 32-byte key of `secret` for `purpose`, from which neither the secret nor another key follows."""
    return hmac.new(secret, b"corral 1 " + purpose.encode() + b"\x01", hashlib.sha256).digest()
