"""Short proofs made from a stored log: that one record is part of it, that an older state is the beginning of a newer.

One pass over the lines, a few hashes in memory (policies/auditing/merkle.py). Lines before the first stored segment
are not needed: its `segment.opened` tells the tree over them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_files import read_lines, segments
from gateway.audit.checkpoint_file import last_note
from policies.audit_chain import StoredLine
from policies.audit_log_check import Beginning, beginning
from policies.auditing.checkpoint import SignedCheckpoint, open_checkpoint
from policies.auditing.merkle import consistency_proof, inclusion_proof, leaf_hash
from policies.auditing.signed_note import NoteBroken, Verifier
from policies.auditing.tlog_proof import TlogProof, verify_proof


class NotProvable(Exception):
    """There is no proof of that; the message says why and what to do."""


class ProvenLine(Struct, frozen=True):
    """A record's exact line without newline, its proof, and the checkpoint it is proven under."""

    line: bytes
    proof: TlogProof
    signed: SignedCheckpoint


def prove_line(folder: Path, seq: int, verifiers: Sequence[Verifier]) -> ProvenLine:
    """The proof of record `seq` of the chain in `folder`, under its latest checkpoint; checked before it is returned.

    Raises NotProvable, NoteBroken for a checkpoint that no key of `verifiers` signed, ProofWrong when the lines are
    not those that were signed, OSError.
    """
    signed = latest_checkpoint(folder, verifiers)
    size = signed.checkpoint.size
    if seq >= size:
        raise NotProvable(f"the last checkpoint covers seq 0 to {size - 1}: one is made every 10 seconds; try again")
    begin, lines = stored_from_first(folder)
    if seq < begin.tree.size:
        raise NotProvable(f"seq {seq} was pruned: the first record that is there is {begin.tree.size}")
    wanted: list[bytes] = []

    def leaves() -> Iterator[bytes]:
        for place, line in enumerate(lines, begin.tree.size):
            data = line.data.removesuffix(b"\n")
            if place == seq:
                wanted.append(data)
            yield leaf_hash(data)

    coming = leaves()
    try:
        hashes = inclusion_proof(coming, seq, size, begin.tree)
    except ValueError as fault:
        raise NotProvable(f"{fault}: run 'corral audit verify'") from None
    next(coming, None)  # the last line of all is no part of its own proof, and then not read yet
    if not wanted:
        raise NotProvable(f"there is no line of seq {seq}: run 'corral audit verify'")
    proof = TlogProof(seq, tuple(hashes), signed.note)
    verify_proof(proof, wanted[0], verifiers)
    return ProvenLine(wanted[0], proof, signed)


def prove_consistency(folder: Path, old_size: int, size: int) -> list[bytes]:
    """The proof that the chain's first `old_size` lines are the beginning of its first `size`.

    Raises NotProvable, OSError.
    """
    begin, lines = stored_from_first(folder)
    try:
        leaves = (leaf_hash(line.data.removesuffix(b"\n")) for line in lines)
        return consistency_proof(leaves, old_size, size, begin.tree)
    except ValueError as fault:
        raise NotProvable(str(fault)) from None


def latest_checkpoint(folder: Path, verifiers: Sequence[Verifier]) -> SignedCheckpoint:
    """The chain's last checkpoint, verified. Raises NotProvable, NoteBroken, OSError."""
    note = last_note(folder)
    if note is None:
        raise NotProvable("the chain has no checkpoint: it is signed when a gateway next starts with it")
    if not verifiers:
        raise NoteBroken("there is no verifier key for its checkpoints: name a file of them with --vkey")
    return open_checkpoint(note, verifiers)


def stored_from_first(folder: Path) -> tuple[Beginning, Iterator[StoredLine]]:
    """Where the stored lines begin, and the lines. Raises NotProvable when the first does not tell, OSError."""
    there = segments(folder)
    begin = beginning(next(iter(read_lines(there[0])), None)) if there else Beginning()
    if begin is None:
        raise NotProvable(f"the lines before {there[0].name} are gone, and it does not tell of them")
    return begin, (line for segment in there for line in read_lines(segment))
