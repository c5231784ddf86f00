"""What an auditor asks of a witness: is every watched log there, does it grow, does what I was given fit?

Compares checkpoints that were fetched by hand (a copy of a chain's `checkpoints`, an anchor's file, a page) with what
was cosigned, and proves newer ones where the log itself is at hand. What is found is a line each; nothing is forgotten:
a contradiction is kept as evidence like one that came over the network.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from gateway.audit.audit_key import UnfitAuditKey, read_key_changes
from gateway.audit.log_proofs import NotProvable, prove_consistency
from gateway.witness.witness_state import Standing, WitnessState
from policies.auditing.checkpoint import Checkpoint, instance_of, open_checkpoint
from policies.auditing.checkpoint_trail import kept_notes
from policies.auditing.signed_note import NoteBroken
from policies.auditing.witnessing import AddCheckpoint, origin_in

What = Literal["fits", "cosigned", "unproven", "contradiction", "behind", "missed", "still", "unsigned", "unknown"]
GOOD = frozenset({"fits", "cosigned"})


class Finding(Struct, frozen=True):
    """One line of the answer: about a log, what, and in words."""

    origin: str
    what: What
    text: str


def check_standings(standings: Iterable[Standing], now_s: int, still_s: int) -> list[Finding]:
    """Names every watched log that was never heard of, or not for `still_s` seconds."""
    found = []
    for each in standings:
        if each.heard_s is None:
            found.append(Finding(each.origin, "missed", "never heard of since it is watched"))
        elif now_s - each.heard_s > still_s:
            text = f"not heard of for {now_s - each.heard_s} seconds, at size {each.size}: it vanished or stands still"
            found.append(Finding(each.origin, "still", text))
        else:
            found.append(Finding(each.origin, "fits", f"size {each.size}, heard of {now_s - each.heard_s} s ago"))
    return found


class CheckpointCheck:
    """Checks notes against one witness. `audit` is a copy of the logs' audit folder, to prove newer ones from."""

    def __init__(self, state: WitnessState, audit: Path | None, now_s: int) -> None:
        self._state = state
        self._audit = audit
        self._now_s = now_s

    def check(self, data: bytes) -> list[Finding]:
        """A finding for each log in `data`, and for each watched one that is not in it. Raises WitnessFault, OSError.

        Of each log all checkpoints are held against what was cosigned; the newest is cosigned if it can be proven.
        """
        notes, rest = kept_notes(data.rstrip(b"\n") + b"\n\n")
        if rest or not notes:
            return [Finding("", "unsigned", "that holds no signed checkpoints")]
        found = self._follow_changes()
        newest: dict[str, tuple[Checkpoint, bytes]] = {}
        for note in notes:
            try:
                checkpoint = self._open(note)
            except NoteBroken as fault:
                found.append(Finding(_claimed(note), "unsigned", str(fault)))
                continue
            if checkpoint.origin not in newest or checkpoint.size >= newest[checkpoint.origin][0].size:
                newest[checkpoint.origin] = checkpoint, note
            found += self._held_against(checkpoint, note)
        found += [self._newest(*each) for each in newest.values()]
        gone = set(self._state.watched()) - set(newest)
        return found + [
            Finding(origin, "missed", "watched, and not among these checkpoints") for origin in sorted(gone)
        ]

    def _follow_changes(self) -> list[Finding]:
        """Keys that the log at hand was rotated to, so far as a watched key has signed that."""
        if self._audit is None:
            return []
        try:
            added = self._state.follow(read_key_changes(self._audit))
        except UnfitAuditKey as fault:
            return [Finding("", "contradiction", str(fault))]
        text = "its key was changed, and the old one has signed that: the new one is watched from now on"
        return [Finding(origin, "fits", text) for origin in added]

    def _open(self, note: bytes) -> Checkpoint:
        origin = origin_in(note)
        keys = self._state.watched().get(origin)
        if keys is None:
            raise NoteBroken(f"{origin} is not watched: add its verifier key with 'corral audit witness watch'")
        return open_checkpoint(note, keys).checkpoint

    def _held_against(self, checkpoint: Checkpoint, note: bytes) -> list[Finding]:
        """A contradiction with what was cosigned at the same size."""
        latest = self._state.latest(checkpoint.origin)
        if latest is None or checkpoint.size > latest.size:
            return []
        judgement, _ = self._state.add(AddCheckpoint(0, (), note), self._now_s)
        if judgement.against is None:
            return []
        return [Finding(checkpoint.origin, "contradiction", f"{judgement.text}; kept as evidence")]

    def _newest(self, checkpoint: Checkpoint, note: bytes) -> Finding:
        latest = self._state.latest(checkpoint.origin)
        old_size = latest.size if latest is not None else 0
        origin, size = checkpoint.origin, checkpoint.size
        if size < old_size:
            return Finding(origin, "behind", f"ends at size {size}, and {old_size} was cosigned: its end is missing")
        proof: list[bytes] = []
        if old_size and size > old_size:
            if self._audit is None:
                return Finding(origin, "unproven", f"size {size} is newer than {old_size}: name the log with --log DIR")
            try:
                proof = prove_consistency(self._audit / instance_of(origin), old_size, size)
            except (NotProvable, OSError) as fault:
                return Finding(origin, "unproven", f"no proof from {old_size} to {size}: {fault}")
        judgement, _ = self._state.add(AddCheckpoint(old_size, tuple(proof), note), self._now_s)
        if judgement.against is not None:
            return Finding(origin, "contradiction", f"{judgement.text}; kept as evidence")
        if judgement.status != 200:
            return Finding(origin, "contradiction", judgement.text)
        return Finding(origin, "cosigned" if size > old_size else "fits", f"size {size}")


def _claimed(note: bytes) -> str:
    try:
        return origin_in(note)
    except NoteBroken:
        return ""
