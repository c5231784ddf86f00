"""The checkpoints of a chain as they are kept, and the signed end of that file.

A checkpoint proves the lines, but nothing in the format proves the file of checkpoints: one could be taken out of it
unseen. So each new one also moves a signed end on. Rules:
 (1) The file is the notes in the order they were signed, each followed by one empty line.
 (2) The end tells how many notes there are, how many bytes they take, and a hash over all of them: 32 zero bytes
     before the first, then SHA-256(the hash so far || the note). It is a signed note of its own, in a file beside it,
     by the audit key under the name `<origin>/checkpoints`, so that neither can be passed off as the other.
 (3) The end is written after its note is lasting. So notes beyond the end are a stop in between; fewer notes than
     the end says, or others, are tampering. Without an end there may be one note at most, for the same reason.
 (4) Sizes grow from note to note: a chain is never signed twice at one size.
 (5) The key that signs changes only where a change leads on from it (policies/auditing/key_change.py, rule 4). Where it
     does is told (`Turn`), so that the lines in between can be asked for the record of it.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from msgspec import Struct

from policies.auditing.checkpoint import Checkpoint, open_checkpoint
from policies.auditing.key_change import KeyChange, leads
from policies.auditing.signed_note import Ed25519Verifier, NoteBroken, Verifier, open_note

START_HASH = bytes(32)


class Trail(Struct, frozen=True):
    """What the end says of the notes so far."""

    count: int = 0
    hash: bytes = START_HASH
    size_bytes: int = 0

    def added(self, note: bytes) -> "Trail":
        """After one more note."""
        return Trail(self.count + 1, sha256(self.hash + note).digest(), self.size_bytes + len(note) + 1)


def end_name(origin: str) -> str:
    """The name of the key that signs the end of a chain's checkpoints."""
    return f"{origin}/checkpoints"


def end_text(origin: str, trail: Trail) -> bytes:
    """The text to sign."""
    digest = base64.b64encode(trail.hash).decode()
    return f"{end_name(origin)}\n{trail.count}\n{digest}\n{trail.size_bytes}\n".encode()


def open_end(note: bytes, origin: str, verifiers: Sequence[Verifier]) -> Trail:
    """What the signed end of the chain `origin` says. Raises NoteBroken."""
    text = open_note(note, verifiers).text
    lines = text.decode("utf-8", "replace").split("\n")
    try:
        trail = Trail(int(lines[1]), base64.b64decode(lines[2], validate=True), int(lines[3]))
    except (IndexError, binascii.Error, ValueError):
        raise NoteBroken("that is not the end of a chain's checkpoints") from None
    if end_text(origin, trail) != text:
        raise NoteBroken("that is not the end of this chain's checkpoints")
    return trail


class KeptWrongly(Exception):
    """The stored checkpoints are not those that were signed; `number` is the note's, from 1 (0: none of them)."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class Stored(Struct, frozen=True):
    """What is stored of a chain's checkpoints: the notes, read once, and the signed end where there is one."""

    notes: Iterable[bytes] = ()
    end: bytes | None = None


class Turn(Struct, frozen=True):
    """Rule (5): the checkpoint of size `before` is the last of its key, that of size `first` the first under `key`."""

    before: int
    first: int
    key: bytes


class SignedTrail(Struct, frozen=True):
    """The checkpoints of one chain, and where its key changes among them."""

    checkpoints: list[Checkpoint]
    turns: tuple[Turn, ...] = ()


def judge_signed_trail(
    stored: Stored, verifiers: Sequence[Ed25519Verifier], changes: Sequence[KeyChange] = ()
) -> SignedTrail:
    """The checkpoints of one chain, all signed by one of `verifiers` and kept by the rules. Raises KeptWrongly."""
    checkpoints: list[Checkpoint] = []
    turns: list[Turn] = []
    keys = {each.key_id: each.public_key for each in verifiers}
    end = _read_end(stored.end, verifiers)
    trail, fits, key = Trail(), end == Trail(), b""
    for number, note in enumerate(stored.notes, 1):
        try:
            signed = open_checkpoint(note, verifiers)
        except NoteBroken as fault:
            raise KeptWrongly(number, str(fault)) from None
        checkpoint, by = signed.checkpoint, keys[signed.key_id]
        if checkpoints and not _follows(checkpoint, checkpoints[-1]):
            raise KeptWrongly(number, "a checkpoint does not follow the one before it")
        if checkpoints and by != key:
            _demand_change(number, key, by, changes)
            turns.append(Turn(checkpoints[-1].size, checkpoint.size, by))
        key = by
        checkpoints.append(checkpoint)
        trail = trail.added(note)
        fits = fits or trail == end
    _judge_end(end, checkpoints, fits=fits)
    return SignedTrail(checkpoints, tuple(turns))


def _demand_change(number: int, key: bytes, by: bytes, changes: Sequence[KeyChange]) -> None:
    if not leads(key, by, changes):
        raise KeptWrongly(number, "a checkpoint is signed by another key, and no change that both signed leads to it")


def _follows(later: Checkpoint, earlier: Checkpoint) -> bool:
    """Rule (4), and of one chain."""
    return later.origin == earlier.origin and later.size > earlier.size


def _read_end(note: bytes | None, verifiers: Sequence[Ed25519Verifier]) -> Trail | None:
    """What the end says, whichever of the chain's keys signed it; None where there is none."""
    if note is None:
        return None
    signers = [Ed25519Verifier(end_name(each.name), each.public_key) for each in verifiers]
    name = note.partition(b"\n")[0].decode("utf-8", "replace")
    try:
        return open_end(note, name.removesuffix(end_name("")), signers)
    except NoteBroken as fault:
        raise KeptWrongly(0, f"the signed end of the checkpoints: {fault}") from None


def _judge_end(end: Trail | None, checkpoints: list[Checkpoint], *, fits: bool) -> None:
    """Rule (3)."""
    if end is None and len(checkpoints) > 1:
        raise KeptWrongly(0, "the signed end of the checkpoints is gone")
    if end is not None and not fits:
        raise KeptWrongly(0, f"the signed end tells of {end.count} checkpoints, and they are not the ones there")


def kept_notes(data: bytes) -> tuple[list[bytes], bytes]:
    """The notes in a file of them, by rule (1), and what is left behind the last whole one."""
    notes = []
    start = 0
    for end in _note_ends(data):
        notes.append(data[start:end])
        start = end + 1
    return notes, data[start:]


def _note_ends(data: bytes) -> Iterator[int]:
    """Where each note ends: its text has no empty line, so the second one is the one behind it."""
    place = 0
    while (blank := data.find(b"\n\n", place)) >= 0 and (last := data.find(b"\n\n", blank + 2)) >= 0:
        yield last + 1
        place = last + 2
