"""Asks one witness to cosign each checkpoint, with the proof from the last it knows; c2sp.org/tlog-witness.

What comes back is verified with the witness's own key and kept, the log's note with the cosignature's line, in the
chain's `checkpoints.cosigned`. The witness says itself where it stands (409), so nothing of it is remembered here.
"""

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gateway.audit.anchor_queue import AnchorFailed, size_of
from gateway.audit.audit_files import read_lines, segments
from gateway.audit.log_proofs import NotProvable, stored_from_first
from gateway.outbound import Outbound, OutboundFault, OutboundRefused
from policies.auditing.cosignature import CosignatureVerifier
from policies.auditing.merkle import CompactRange, consistency_proof, leaf_hash
from policies.auditing.signed_note import NoteBroken, open_note, split_note
from policies.auditing.witnessing import AddCheckpoint, add_checkpoint_body

COSIGNED_NAME = "checkpoints.cosigned"
MAX_ANSWER_BYTES = 16 * 1024
TEXT = "text/plain; charset=utf-8"
TRIES = 2
"""The second with the size that the first was told."""


class GrowingProofs:
    """Consistency proofs of one chain. What lies before the last one's beginning is not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base: CompactRange | None = None

    def prove(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the first `old_size` lines begin the first `size`. Raises NotProvable, OSError."""
        base = self._base_at(old_size)
        try:
            return consistency_proof(leaves_from(self._folder, base.size), old_size, size, base)
        except ValueError as fault:
            raise NotProvable(str(fault)) from None

    def _base_at(self, size: int) -> CompactRange:
        """The tree of the first `size` lines, grown from the one that is known."""
        base = self._base
        if base is None or base.size > size:
            base = stored_from_first(self._folder)[0].tree
        self._base = base.extended(islice(leaves_from(self._folder, base.size), max(0, size - base.size)))
        return self._base


def leaves_from(folder: Path, seq: int) -> Iterator[bytes]:
    """The leaf hashes from record `seq` on. Of the segments before it nothing is read."""
    there = segments(folder)
    first = max((number for number, each in enumerate(there) if each.first_seq <= seq), default=0)
    for segment in there[first:]:
        for place, line in enumerate(read_lines(segment), segment.first_seq):
            if place >= seq:
                yield leaf_hash(line.data.removesuffix(b"\n"))


class WitnessAnchor:
    """One witness. `folder` is the chain's."""

    off_host = True
    newest_only = True

    def __init__(self, client: Outbound, verifier: CosignatureVerifier, folder: Path) -> None:
        self.name = f"witness:{verifier.name}"
        self._client = client
        self._verifier = verifier
        self._folder = folder
        self._proofs = GrowingProofs(folder)
        self._known_size = 0

    async def put(self, note: bytes) -> None:
        """Raises AnchorFailed."""
        size = size_of(note)
        for _ in range(TRIES):
            if self._known_size > size:
                raise AnchorFailed(f"it knows this log with {self._known_size} records, here it has {size}")
            try:
                answer = await self._ask(note, size)
            except OutboundRefused as refused:
                self._hear_refusal(refused, size)
            except OutboundFault as fault:
                raise AnchorFailed(f"it cannot be reached: {fault}") from None
            else:
                await asyncio.to_thread(self._keep, note, answer)
                self._known_size = size
                return
        raise AnchorFailed("it changes its mind about what it knows of this log")

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def _ask(self, note: bytes, size: int) -> bytes:
        old_size = self._known_size
        proof: list[bytes] = []
        if 0 < old_size < size:
            try:
                proof = await asyncio.to_thread(self._proofs.prove, old_size, size)
            except NotProvable as fault:
                raise AnchorFailed(f"no proof from {old_size} to {size}: {fault}") from None
        body = add_checkpoint_body(AddCheckpoint(old_size, tuple(proof), note))
        return await self._client.fetch(
            "POST", "/add-checkpoint", body, max_body_bytes=MAX_ANSWER_BYTES, content_type=TEXT
        )

    def _hear_refusal(self, refused: OutboundRefused, size: int) -> None:
        """Take up the size it tells. Raises AnchorFailed for any other refusal, and for one that tells nothing new."""
        told = refused.body.removesuffix(b"\n")
        if refused.status == 409 and told.isdigit() and len(told) < 20 and int(told) != self._known_size:
            self._known_size = int(told)
            return
        reasons = {
            403: "it does not know the key that signed this log",
            404: "it does not watch this log: give its owner audit/audit.vkey",
            409: f"it has cosigned another log of this name with {size} records",
            422: "it refuses: this log is not the one that it cosigned before",
        }
        raise AnchorFailed(reasons.get(refused.status, f"it answers {refused.status}"))

    def _keep(self, note: bytes, answer: bytes) -> None:
        try:
            cosigned = open_note(note[: split_at(note)] + answer, [self._verifier])
        except NoteBroken as fault:
            raise AnchorFailed(f"it answers with no cosignature of its own: {fault}") from None
        lines = b"".join(signature.line() for signature in cosigned.verified)
        path = self._folder / COSIGNED_NAME
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, note + lines + b"\n")
            os.fsync(descriptor)
        except OSError as fault:
            raise AnchorFailed(f"its cosignature cannot be kept: {fault.strerror}") from None
        finally:
            os.close(descriptor)


def split_at(note: bytes) -> int:
    """Where a note's signature lines begin. Raises NoteBroken."""
    return len(split_note(note)[0]) + 1
