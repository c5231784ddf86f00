"""Checkpoints: what a log signs of itself. A log's name, how many lines it has, and the root of their tree.

Reads and writes the text; the signatures are those of policies/auditing/signed_note.py. Source:
c2sp.org/tlog-checkpoint. Rules:
 (1) Three lines, each ending in a newline: the origin, the size in decimal without leading zeros, the root in base64.
     Lines after these are not ours: a checkpoint with any is refused, for nobody else can check what they say.
 (2) The name of the key that signs is the origin, so one key signs for several chains and no signature of one chain
     serves for another.
 (3) An origin is `corral/<deployment>/<instance>`.
"""

import base64
import binascii
from collections.abc import Sequence

from msgspec import Struct

from policies.auditing.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from policies.auditing.signed_note import NoteBroken, Verifier, check_name, open_note


class Checkpoint(Struct, frozen=True):
    """A log's tree head: `root` is that of its first `size` lines."""

    origin: str
    size: int
    root: bytes


class SignedCheckpoint(Struct, frozen=True):
    """A checkpoint whose log's own signature was verified, the note it came in, and the id of the key that signed."""

    checkpoint: Checkpoint
    note: bytes
    key_id: bytes = b""


def origin_of(deployment: str, instance: str) -> str:
    """The name of a chain, rule (3). Raises NoteBroken when a note could not carry it."""
    origin = f"corral/{deployment}/{instance}"
    check_name(origin)
    return origin


def instance_of(origin: str) -> str:
    """The chain's own name in an origin."""
    return origin.rpartition("/")[2]


def deployment_of(origin: str) -> str:
    """The part of an origin that all chains of a deployment share."""
    return origin.rpartition("/")[0]


def checkpoint_text(checkpoint: Checkpoint) -> bytes:
    """The text to sign."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n".encode()


def read_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint in a note's text. Raises NoteBroken unless it is byte for byte what `checkpoint_text` writes."""
    lines = text.decode("utf-8", "replace").split("\n")
    if len(lines) != 4 or not lines[1].isdecimal() or len(lines[1]) > 19:
        raise NoteBroken("that is not a checkpoint: origin, size and root, one a line")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    checkpoint = Checkpoint(lines[0], int(lines[1]), root)
    _check(checkpoint)
    if checkpoint_text(checkpoint) != text:
        raise NoteBroken("that is not a checkpoint: a line is not in its one right spelling")
    return checkpoint


def open_checkpoint(note: bytes, verifiers: Sequence[Verifier]) -> SignedCheckpoint:
    """The checkpoint in `note`, signed by its own log's key. Raises NoteBroken, NoteUnsigned.

    `verifiers` may hold witnesses' keys too; a signature of theirs that is wrong spoils the note.
    """
    opened = open_note(note, verifiers)
    checkpoint = read_checkpoint(opened.text)
    key_ids = [signature.key_id for signature in opened.verified if signature.name == checkpoint.origin]
    if not key_ids:
        raise NoteBroken(f"the checkpoint of {checkpoint.origin} is not signed by the key of that name")
    return SignedCheckpoint(checkpoint, note, key_ids[0])


def _check(checkpoint: Checkpoint) -> None:
    check_name(checkpoint.origin)
    if len(checkpoint.root) != HASH_BYTES:
        raise NoteBroken("the root of a checkpoint is a SHA-256 hash")
    if checkpoint.size > MAX_SIZE or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
        raise NoteBroken("the size of a checkpoint does not fit its root")
