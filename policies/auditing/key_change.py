"""A change of the key that signs the log's checkpoints: told by both keys, and followed by whoever trusts the old one.

Decides whether a change is one, which keys follow from those that are trusted, and which key may sign after which.
Rules:
 (1) A change is a text of four lines: `corral audit key change 1`, the deployment (`corral/<name>`), the old public key
     and the new one in base64. It is a signed note (policies/auditing/signed_note.py) with the signatures of both keys
     under the name `<deployment>/audit-key`. Without either of them, or with two equal keys, it is none.
 (2) All changes of a home stand in one file in their order, each note behind an empty line. Each one begins at the key
     that the one before led to.
 (3) Whoever trusts a key of a chain trusts the keys that changes lead to from it, for that chain.
 (4) Of two checkpoints in a row the later one is signed by the same key, or by one that changes lead to from it: a
     key that was replaced signs nothing any more.
 (5) Each chain records the change (`audit_key.rotated`) before its first checkpoint under the new key, as both keys and
     both signatures, so that the line shows by itself that the old key has agreed.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from policies.auditing.checkpoint import deployment_of
from policies.auditing.signed_note import (
    PUBLIC_KEY_BYTES,
    Ed25519Signer,
    Ed25519Verifier,
    NoteBroken,
    Signature,
    open_note,
    sign_note,
    split_note,
)

ROTATED = "audit_key.rotated"
_FIRST_LINE = "corral audit key change 1"
Details = dict[str, str | int | float | bool]


class KeyChange(Struct, frozen=True):
    """From the public key `old` to `new` (32 bytes each), for the chains of `deployment`; both have signed it."""

    deployment: str
    old: bytes
    new: bytes


def sign_change(deployment: str, old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> bytes:
    """The note of rule (1)."""
    change = KeyChange(deployment, old.public_key().public_bytes_raw(), new.public_key().public_bytes_raw())
    name = _name(deployment)
    return sign_note(_text(change), [Ed25519Signer(name, old), Ed25519Signer(name, new)])


def open_change(note: bytes) -> KeyChange:
    """The change in a note, signed by both of its keys. Raises NoteBroken."""
    lines = split_note(note)[0].decode().split("\n")
    if len(lines) != 5 or lines[0] != _FIRST_LINE:
        raise NoteBroken("that is no change of an audit key")
    change = KeyChange(lines[1], _key(lines[2]), _key(lines[3]))
    _demand_both(note, change)
    return change


def read_changes(data: bytes) -> tuple[KeyChange, ...]:
    """Rule (2). Raises NoteBroken for a file that holds anything else."""
    pieces = data.split(b"\n\n")  # texts and signature lines by turns, then nothing
    if pieces.pop() or len(pieces) % 2:
        raise NoteBroken("it does not end where a change ends")
    changes = tuple(open_change(b"%s\n\n%s\n" % pair) for pair in zip(pieces[::2], pieces[1::2], strict=True))
    for before, after in pairwise(changes):
        if (before.deployment, before.new) != (after.deployment, after.old):
            raise NoteBroken("a change does not begin at the key that the one before it led to")
    return changes


def is_changes(data: bytes) -> bool:
    """Whether a file means to hold changes."""
    return data.startswith(_FIRST_LINE.encode() + b"\n")


def followed(keys: Iterable[Ed25519Verifier], changes: Sequence[KeyChange]) -> tuple[Ed25519Verifier, ...]:
    """Rule (3): `keys`, and those that follow from them."""
    known = list(keys)
    there = {(each.name, each.public_key) for each in known}
    for change in changes:
        for name in [each.name for each in known if _is_of(each, change, change.old)]:
            if (name, change.new) not in there:
                there.add((name, change.new))
                known.append(Ed25519Verifier(name, change.new))
    return tuple(known)


def unfounded(keys: Sequence[Ed25519Verifier], changes: Sequence[KeyChange]) -> str:
    """The name of a chain with two keys of which no change leads from one to the other; empty for none.

    `keys` in the order in which they were listed.
    """
    first: dict[str, Ed25519Verifier] = {}
    for key in keys:
        root = first.setdefault(key.name, key)
        if not leads(root.public_key, key.public_key, changes):
            return key.name
    return ""


def leads(old: bytes, new: bytes, changes: Sequence[KeyChange]) -> bool:
    """Whether changes lead from one key to the other, or they are the same (rule 4)."""
    reached = {old}
    for change in changes:
        if change.old in reached:
            reached.add(change.new)
    return new in reached


def change_details(note: bytes) -> Details:
    """Rule (5): what the record tells. Raises NoteBroken."""
    change, (old, new) = open_change(note), split_note(note)[1]
    return {
        "deployment": change.deployment,
        "old_key": _base64(change.old),
        "new_key": _base64(change.new),
        "old_signature": _base64(old.signature),
        "new_signature": _base64(new.signature),
    }


class _Told(Struct, frozen=True):
    deployment: str = ""
    old_key: str = ""
    new_key: str = ""
    old_signature: str = ""
    new_signature: str = ""


class _Line(Struct):
    event: str = ""
    details: _Told = _Told()


def read_rotated(line: bytes) -> KeyChange | None:
    """The change that a stored line tells of; None for any other line, and for one that both keys did not sign."""
    try:
        read = msgspec.json.decode(line, type=_Line)
        told = read.details
        change = KeyChange(told.deployment, _key(told.old_key), _key(told.new_key))
        name = _name(change.deployment)
        signed = ((change.old, told.old_signature), (change.new, told.new_signature))
        lines = [
            Signature(name, Ed25519Verifier(name, key).key_id, base64.b64decode(signature, validate=True)).line()
            for key, signature in signed
        ]
        _demand_both(_text(change) + b"\n" + b"".join(lines), change)
    except (msgspec.DecodeError, UnicodeError, binascii.Error, ValueError):  # NoteBroken is a ValueError
        return None
    return change if read.event == ROTATED else None


def _demand_both(note: bytes, change: KeyChange) -> None:
    name = _name(change.deployment)
    opened = open_note(note, [Ed25519Verifier(name, change.old), Ed25519Verifier(name, change.new)])
    if len(opened.verified) != 2:  # also where both keys are one
        raise NoteBroken("the change of the audit key is not signed by the old key and the new one")
    if opened.text != _text(change):
        raise NoteBroken("a line of the change is not in its one right spelling")


def _is_of(key: Ed25519Verifier, change: KeyChange, public_key: bytes) -> bool:
    return key.public_key == public_key and deployment_of(key.name) == change.deployment


def _text(change: KeyChange) -> bytes:
    return f"{_FIRST_LINE}\n{change.deployment}\n{_base64(change.old)}\n{_base64(change.new)}\n".encode()


def _name(deployment: str) -> str:
    return f"{deployment}/audit-key"


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise NoteBroken("a key of the change is no Ed25519 public key")
    return key


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
