"""What a witness answers to a checkpoint: may it be cosigned, and if not, why. Source: c2sp.org/tlog-witness.

Decides; the state, its lasting storage and HTTP are gateway/witness's business. Checked in this order:
 (a) the body: `old N`, at most 63 hashes, an empty line, a checkpoint; and N at most its size    400
 (b) the checkpoint's origin is one that is watched                                              404
 (c) a key listed for that origin signed it                                                      403
 (d) N is the size last cosigned for it, 0 for none; else the answer tells the right one          409
 (e) N is its size: the root is the one that was cosigned                                         409
 (f) the proof shows that what was cosigned is the beginning of it; none for N = 0                422
 (g) 200: cosigned, once it is lasting.
What fails at (e) or (f) is signed by the log's own key and does not go with what it signed before: both are evidence.
So is a checkpoint of a size that was cosigned with another root, whatever its `old`.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from policies.auditing.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from policies.auditing.merkle import HASH_BYTES, ProofWrong, verify_consistency
from policies.auditing.signed_note import NoteBroken, Verifier, split_note

MAX_PROOF_HASHES = 63
MAX_REQUEST_BYTES = 64 * 1024
"""A checkpoint with all signatures a note may carry, and 63 hashes, are far less."""
SIZE_TYPE = "text/x.tlog.size"

Status = Literal[200, 400, 403, 404, 409, 422]


class AddCheckpoint(Struct, frozen=True):
    """A request: the size the proof begins at, the proof, the signed note."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


class Cosigned(Struct, frozen=True):
    """A checkpoint that the witness cosigned: the note as the log signed it."""

    size: int
    root: bytes
    note: bytes


class Judgement(Struct, frozen=True, kw_only=True):
    """The answer. `checkpoint` is there from (c) on, `latest_size` told with 409, `against` what it contradicts."""

    status: Status
    text: str
    checkpoint: Checkpoint | None = None
    latest_size: int | None = None
    against: Cosigned | None = None


class Memory(Struct, frozen=True):
    """What the witness knows of the request's origin: the latest it cosigned, and what it did at this very size."""

    latest: Cosigned | None = None
    same_size: Cosigned | None = None


def add_checkpoint_body(request: AddCheckpoint) -> bytes:
    """The request as it is sent."""
    hashes = (base64.b64encode(digest).decode() for digest in request.proof)
    return "".join(f"{line}\n" for line in (f"old {request.old_size}", *hashes, "")).encode() + request.note


def read_add_checkpoint(body: bytes) -> AddCheckpoint:
    """The request in `body`. Raises NoteBroken unless it is byte for byte what (a) describes."""
    head, _, note = body.partition(b"\n\n")
    first, *hashes = head.decode("utf-8", "replace").split("\n")
    size = first.removeprefix("old ")
    if not (size.isascii() and size.isdecimal()) or len(size) > 19 or len(hashes) > MAX_PROOF_HASHES:
        raise NoteBroken("the body is 'old SIZE', at most 63 hashes, an empty line and a checkpoint")
    request = AddCheckpoint(int(size), tuple(map(_read_hash, hashes)), note)
    if add_checkpoint_body(request) != body:
        raise NoteBroken("a line of the body is not in its one right spelling")
    return request


def origin_in(note: bytes) -> str:
    """The origin that a note claims, nothing verified. Raises NoteBroken."""
    return read_checkpoint(split_note(note)[0]).origin


def judge(request: AddCheckpoint, watched: Mapping[str, Sequence[Verifier]], memory: Memory) -> Judgement:
    """The answer to a request, by (a) to (g). `memory` is of the origin that `origin_in` told."""
    try:
        claimed = read_checkpoint(split_note(request.note)[0])
    except NoteBroken as fault:
        return Judgement(status=400, text=str(fault))
    if request.old_size > claimed.size:
        return Judgement(status=400, text="the old size is above the checkpoint's")
    if claimed.origin not in watched:
        return Judgement(status=404, text="this log is not watched here")
    try:
        checkpoint = open_checkpoint(request.note, watched[claimed.origin]).checkpoint
    except NoteBroken as fault:
        return Judgement(status=403, text=str(fault))
    return _judge_signed(request, checkpoint, memory)


def _judge_signed(request: AddCheckpoint, checkpoint: Checkpoint, memory: Memory) -> Judgement:
    same = memory.same_size
    if same is not None and same.root != checkpoint.root:
        text = f"another root was cosigned for size {checkpoint.size}: this log was rewritten"
        return Judgement(status=409, text=text, checkpoint=checkpoint, latest_size=_size(memory.latest), against=same)
    if request.old_size != _size(memory.latest):
        text = f"the last one cosigned has size {_size(memory.latest)}"
        return Judgement(status=409, text=text, checkpoint=checkpoint, latest_size=_size(memory.latest))
    try:
        _verify(request, checkpoint, memory.latest)
    except ProofWrong as fault:
        return Judgement(status=422, text=str(fault), checkpoint=checkpoint, against=memory.latest)
    return Judgement(status=200, text="cosigned", checkpoint=checkpoint)


def _verify(request: AddCheckpoint, checkpoint: Checkpoint, latest: Cosigned | None) -> None:
    if latest is None or latest.size == 0:
        if request.proof:
            raise ProofWrong("there is nothing to prove from a size of 0")
        return
    verify_consistency(latest.size, checkpoint.size, latest.root, checkpoint.root, request.proof)


def _size(latest: Cosigned | None) -> int:
    return latest.size if latest is not None else 0


def _read_hash(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != HASH_BYTES:
        raise NoteBroken("a line of the proof is not a hash of 32 bytes in base64")
    return digest
