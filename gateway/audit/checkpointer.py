"""When a chain's checkpoints are made: every 10 s if anything was recorded, every 1,000 records, at sealing, at stop.

A checkpoint is also made as soon as a chain is opened, over what is there (nothing, for a new one). So a chain whose
verifier key is listed has one, and never more than `EVERY_RECORDS` and one commit lie between two of them: where
`corral audit verify` finds more, one was taken away.

All calls come from the thread that writes the chain, after the lines they cover are lasting. A checkpoint that cannot
be written raises OSError there and is thereby treated like a record that cannot be: what waits for it is refused, and
no line is added before it has been made up for.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.audit.audit_disk import Disk, RealDisk
from gateway.audit.audit_key import AuditKey, list_vkey
from gateway.audit.checkpoint_file import CheckpointFile, CheckpointsBroken
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.merkle import CompactRange

EVERY_S = 10.0
"""How long a record may stand without a checkpoint; with an anchor off this host, the window an intruder has."""
EVERY_RECORDS = 1000

OnCheckpoint = Callable[[bytes], None]
"""Takes the signed note, in the writer's thread; must neither wait nor raise."""


class Checkpointer:
    """Signs one chain. `subscribe` what is to be told of each checkpoint, once it is lasting."""

    def __init__(self, file: CheckpointFile, origin: str, tree: CompactRange, clock: Callable[[], float]) -> None:
        self._file = file
        self._origin = origin
        self._tree = tree
        self._clock = clock
        self._uncovered_since_s: float | None = None
        self._owed = False
        self._subscribers: list[OnCheckpoint] = []

    @classmethod
    def open(
        cls,
        folder: Path,
        key: AuditKey,
        tree: CompactRange,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Checkpointer":
        """Go on with the checkpoints of the chain in `folder`, whose lines make up `tree`; the first is made here.

        Raises CheckpointsBroken, UnfitAuditKey, OSError.
        """
        disk = disk or RealDisk()
        signer = key.signer(folder.name)
        file = CheckpointFile(folder, disk, signer, key.end_signer(folder.name))
        if file.last is not None:
            _demand_same_log(file.last, tree)
        checkpointer = cls(file, signer.name, tree, clock)
        checkpointer.make()
        list_vkey(key.listing, signer.verifier, disk)
        return checkpointer

    @property
    def origin(self) -> str:
        """The chain's name in its checkpoints."""
        return self._origin

    def subscribe(self, on_checkpoint: OnCheckpoint) -> None:
        """Have each later checkpoint told, as its signed note."""
        self._subscribers.append(on_checkpoint)

    def committed(self, tree: CompactRange) -> None:
        """Lines were added and are lasting; a checkpoint is made if one is due. Raises OSError."""
        self._tree = tree
        if self._uncovered_since_s is None:
            self._uncovered_since_s = self._clock()
        if self.wants(tree):
            self.make()

    def wants(self, tree: CompactRange) -> bool:
        """Whether a checkpoint is made as soon as these lines are told."""
        return self.due() or tree.size - self._covered() >= EVERY_RECORDS

    def due(self) -> bool:
        """Whether a record has stood without a checkpoint for `EVERY_S`. May be asked from any thread."""
        since_s = self._uncovered_since_s
        return since_s is not None and self._clock() - since_s >= EVERY_S

    def catch_up(self) -> None:
        """Make the checkpoint that failed before, if one did; no line is added before it is there. Raises OSError."""
        if self._owed:
            self.make()

    def make(self) -> None:
        """A checkpoint over all lines, unless there is one. Raises OSError."""
        self._owed = True
        if self._file.last is None or self._tree.size > self._covered():
            note = self._file.append(Checkpoint(self._origin, self._tree.size, self._tree.root()))
            self._tell(note)
        self._file.mend()
        self._uncovered_since_s = None
        self._owed = False

    def _covered(self) -> int:
        return self._file.last.size if self._file.last is not None else 0

    def _tell(self, note: bytes) -> None:
        for on_checkpoint in self._subscribers:
            try:
                on_checkpoint(note)
            except Exception:  # noqa: BLE001 (the record is lasting; a bug of who listens must not refuse requests)
                structlog.get_logger().exception("audit.checkpoint_listener_failed")


def _demand_same_log(last: Checkpoint, tree: CompactRange) -> None:
    """A log that is shorter than, or other than, what it has signed must not be signed again (tlog-checkpoint)."""
    if tree.size < last.size:
        raise CheckpointsBroken(f"a checkpoint covers {last.size} records, and there are only {tree.size}")
    if tree.size == last.size and tree.root() != last.root:
        raise CheckpointsBroken(f"the {last.size} records are not those that the last checkpoint covers")
