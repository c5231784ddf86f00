"""A proof to hand on: that one line stands at its place in the log, checked without the rest of the log.

Source: c2sp.org/tlog-proof. The text holds the line's number, the hashes of its inclusion proof, and a signed
checkpoint with whatever cosignatures it has. Rules:
 (1) Read strictly: a text with a second spelling is refused.
 (2) The `extra` line is carried, never trusted: nothing signs it. Corral writes none.
 (3) It proves a line only with the line's exact bytes and the log's verifier key, both had from elsewhere.
"""

import base64
import binascii
from collections.abc import Sequence

from msgspec import Struct

from policies.auditing.checkpoint import SignedCheckpoint, open_checkpoint
from policies.auditing.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from policies.auditing.signed_note import NoteBroken, Verifier

MAGIC = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63


class TlogProof(Struct, frozen=True):
    """`hashes` from the leaf's sibling up; `checkpoint` is the signed note, byte for byte."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""


def proof_text(proof: TlogProof) -> bytes:
    """The proof as it is stored and sent."""
    extra = [f"extra {_base64(proof.extra)}"] if proof.extra else []
    lines = [MAGIC, *extra, f"index {proof.index}", *map(_base64, proof.hashes), ""]
    return "\n".join(lines).encode() + b"\n" + proof.checkpoint


def read_proof(text: bytes) -> TlogProof:
    """The proof in `text`, nothing verified. Raises NoteBroken unless it is as `proof_text` writes it."""
    head, _, checkpoint = text.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    if lines.pop(0) != MAGIC:
        raise NoteBroken(f"that is not a proof: it does not begin with {MAGIC}")
    extra = _read_base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else b""
    index = lines.pop(0).removeprefix("index ") if lines else ""
    hashes = tuple(map(_read_base64, lines))
    if not index.isdecimal() or len(index) > 19 or len(hashes) > MAX_HASHES:
        raise NoteBroken("that is not a proof: it has no index, or too many hashes")
    proof = TlogProof(int(index), hashes, checkpoint, extra)
    if any(len(digest) != HASH_BYTES for digest in hashes) or proof_text(proof) != text:
        raise NoteBroken("that is not a proof: a line is not in its one right spelling")
    return proof


def verify_proof(proof: TlogProof, line: bytes, verifiers: Sequence[Verifier]) -> SignedCheckpoint:
    """The checkpoint under which `line` (exact bytes, no newline) is proven.

    Checked in this order: (a) the checkpoint's signatures, (b) that the leaf at the proof's index leads to its root.
    Raises NoteBroken, ProofWrong.
    """
    signed = open_checkpoint(proof.checkpoint, verifiers)
    checkpoint = signed.checkpoint
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(line), proof.hashes, checkpoint.root)
    return signed


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
