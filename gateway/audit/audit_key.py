"""The key that signs the log's checkpoints, the deployment's name, and the verifier keys that are told to others.

    $CORRAL_HOME/audit-key.pem      Ed25519, PKCS#8, readable by its owner alone
    $CORRAL_HOME/audit/deployment   sixteen hex digits, made once: two homes are never taken for each other
    $CORRAL_HOME/audit/audit.vkey   one verifier key a line, for every chain that was ever opened under this key
    $CORRAL_HOME/audit/key-changes  every rotation of the key, signed by the old one and the new one

Key and name are made together with the first chain. A key that is gone while verifier keys tell of one is not made
anew: a log that changes its key in silence is what an intruder would write. A rotated key is a line more for its
chains in audit.vkey; every key that follows from a listed one by `key-changes` verifies a chain's checkpoints.

A rotation is three lasting steps: the new key beside the old one (`audit-key.next.pem`), the change that both have
signed, the new key in the old one's place. Where it was cut off before the second step it never was; behind it, the
next opening ends it. So there is always one key, and a change for every key that ever signed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.audit.audit_disk import Disk, RealDisk, replace_file
from gateway.homes.private_file import sync_directory, write_private
from policies.auditing.checkpoint import deployment_of, origin_of
from policies.auditing.checkpoint_trail import end_name
from policies.auditing.key_change import KeyChange, open_change, read_changes, sign_change
from policies.auditing.signed_note import Ed25519Signer, Ed25519Verifier, NoteBroken, read_vkey

KEY_NAME = "audit-key.pem"
NEXT_KEY_NAME = "audit-key.next.pem"
CHANGES_NAME = "key-changes"
DEPLOYMENT_NAME = "deployment"
VKEY_NAME = "audit.vkey"
MAX_FILE_BYTES = 1024 * 1024
_DEPLOYMENT = re.compile(r"[0-9a-f]{16}\n\Z")


class UnfitAuditKey(Exception):
    """The audit key, or what goes with it, cannot be used; the message is one line with the path and the remedy."""


@dataclass(frozen=True, slots=True)
class AuditKey:
    """What the chains of one home are signed with; `listing` is the folder that holds audit.vkey.

    `changes` are the notes of all rotations, oldest first.
    """

    deployment: str
    private_key: Ed25519PrivateKey
    listing: Path
    changes: tuple[bytes, ...] = ()

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def older(self) -> tuple[bytes, ...]:
        """The public keys that were replaced, oldest first."""
        return tuple(open_change(note).old for note in self.changes)

    def changes_since(self, public_key: bytes) -> tuple[bytes, ...]:
        """The changes that lead from an older key to this one; none for this one itself and for a stranger's."""
        older = self.older
        return self.changes[older.index(public_key) :] if public_key in older else ()

    def older_verifiers(self, instance: str) -> list[Ed25519Verifier]:
        """What the chain `instance` may have been signed by before."""
        return [Ed25519Verifier(origin_of(self.deployment, instance), key) for key in self.older]

    def signer(self, instance: str) -> Ed25519Signer:
        """Signs the checkpoints of the chain `instance`. Raises NoteBroken for a name that no note may carry."""
        return Ed25519Signer(origin_of(self.deployment, instance), self.private_key)

    def end_signer(self, instance: str) -> Ed25519Signer:
        """Signs the end of that chain's file of checkpoints."""
        return Ed25519Signer(end_name(origin_of(self.deployment, instance)), self.private_key)


def open_audit_key(home: Path) -> AuditKey:
    """The audit key of the home in the folder `home`, made if this is its first chain. Raises UnfitAuditKey."""
    audit = home / "audit"
    try:
        listed = read_vkeys(audit / VKEY_NAME) if (audit / VKEY_NAME).exists() else []
        if not listed:
            audit.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_once(audit / DEPLOYMENT_NAME, f"{secrets.token_hex(8)}\n".encode())
            _make_once(home / KEY_NAME, _new_key_pem())
        if (home / NEXT_KEY_NAME).exists():
            with _locked(audit):
                _finish_rotation(home, RealDisk())
        key = AuditKey(read_deployment(audit), load_private_key(home / KEY_NAME), audit, _notes(audit))
        if key.changes and open_change(key.changes[-1]).new != key.public_key:
            raise UnfitAuditKey(
                f"{home / KEY_NAME} is not the key that {audit / CHANGES_NAME} leads to: put the newest one back from "
                "your backup"
            )
        return key
    except FileNotFoundError as fault:
        raise UnfitAuditKey(
            f"{fault.filename} is gone, and {audit / VKEY_NAME} names it: put it back from your backup, "
            f"or keep {audit} as evidence under another name and start again; a new log begins"
        ) from None
    except OSError as fault:
        raise UnfitAuditKey(
            f"{fault.filename or home} cannot be used ({fault.strerror}): make it readable and its folder writable"
        ) from None


def rotate_audit_key(home: Path, disk: Disk | None = None) -> None:
    """Put a new audit key in the place of the old one, which is gone then. Raises UnfitAuditKey, OSError.

    Chains turn to it when they are next opened, and those of running gateways within a second.
    """
    disk, audit = disk or RealDisk(), home / "audit"
    with _locked(audit):
        _finish_rotation(home, disk)
        old, new = load_private_key(home / KEY_NAME), Ed25519PrivateKey.generate()
        note = sign_change(deployment_of(origin_of(read_deployment(audit), "any")), old, new)
        before = b"".join(each + b"\n" for each in _notes(audit))
        replace_file(disk, home / NEXT_KEY_NAME, _pem(new))
        replace_file(disk, audit / CHANGES_NAME, before + note + b"\n")
        _take_next(home, disk)


def _finish_rotation(home: Path, disk: Disk) -> None:
    """End what a rotation that was cut off has begun, or take it back. Raises UnfitAuditKey, OSError."""
    if not (home / NEXT_KEY_NAME).exists():
        return
    current, following = _public(home / KEY_NAME), _public(home / NEXT_KEY_NAME)
    changes = read_key_changes(home / "audit")
    if changes and (changes[-1].old, changes[-1].new) == (current, following):
        _take_next(home, disk)
    else:
        disk.remove(home / NEXT_KEY_NAME)
        disk.sync_folder(home)


def _take_next(home: Path, disk: Disk) -> None:
    disk.rename(home / NEXT_KEY_NAME, home / KEY_NAME)
    disk.sync_folder(home)


def _public(path: Path) -> bytes:
    return load_private_key(path).public_key().public_bytes_raw()


def read_key_changes(audit: Path) -> tuple[KeyChange, ...]:
    """The rotations of the home whose log is in the folder `audit`, verified. Raises UnfitAuditKey, OSError."""
    path = audit / CHANGES_NAME
    try:
        return read_changes(_read(path))
    except FileNotFoundError:
        return ()
    except NoteBroken as fault:
        raise UnfitAuditKey(f"{path}: {fault}: put the file back from your backup") from None


def _notes(audit: Path) -> tuple[bytes, ...]:
    """The notes of the rotations. Raises UnfitAuditKey, OSError."""
    count = len(read_key_changes(audit))
    pieces = _read(audit / CHANGES_NAME).split(b"\n\n") if count else []
    return tuple(b"%s\n\n%s\n" % (pieces[2 * place], pieces[2 * place + 1]) for place in range(count))


def read_deployment(audit: Path) -> str:
    """The deployment's name. Raises UnfitAuditKey, OSError."""
    text = _read(audit / DEPLOYMENT_NAME).decode("ascii", "replace")
    if _DEPLOYMENT.match(text) is None:
        raise UnfitAuditKey(f"{audit / DEPLOYMENT_NAME} is not what Corral wrote: put it back from your backup")
    return text.strip()


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file at `path`. Raises UnfitAuditKey, OSError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UnfitAuditKey(f"{path} is open to others (mode {mode:04o}): run 'chmod 600 {path}'")
        pem = file.read(MAX_FILE_BYTES)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UnfitAuditKey(f"{path} holds no Ed25519 key without password: put it back from your backup")
    return key


def read_vkeys(path: Path) -> list[Ed25519Verifier]:
    """The verifier keys in a file of them, one a line. Raises UnfitAuditKey for a line that is none, OSError."""
    found = []
    for number, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), 1):
        try:
            found.append(read_vkey(line))
        except NoteBroken as fault:
            raise UnfitAuditKey(f"{path} line {number}: {fault}") from None
    return found


def list_vkey(audit: Path, verifier: Ed25519Verifier, disk: Disk | None = None) -> None:
    """See that audit.vkey tells of this chain's key. Raises UnfitAuditKey, OSError.

    Under a lock on the folder: gateways that start together each add their own line.
    """
    path = audit / VKEY_NAME
    with _locked(audit):
        listed = read_vkeys(path) if path.exists() else []
        lines = [each.vkey for each in listed]
        if verifier.vkey not in lines:
            text = "".join(f"{line}\n" for line in [*lines, verifier.vkey])
            replace_file(disk or RealDisk(), path, text.encode())


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES)


def _new_key_pem() -> bytes:
    return _pem(Ed25519PrivateKey.generate())


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _make_once(path: Path, content: bytes) -> None:
    """Make `path` whole or not at all; where it is already there, by whomever, it stays. Raises OSError."""
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(fresh, content, mode=0o600)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    sync_directory(path.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
