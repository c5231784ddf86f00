"""When a chain's checkpoints are made: every 10 s if anything was recorded, every 1,000 records, at sealing, at stop.

A checkpoint is also made as soon as a chain is opened, over what is there (nothing, for a new one). So a chain whose
verifier key is listed has one, and never more than `EVERY_RECORDS` and one commit lie between two of them: where
`corral audit verify` finds more, one was taken away.

All calls come from the thread that writes the chain, after the lines they cover are lasting. A checkpoint that cannot
be written raises OSError there and is thereby treated like a record that cannot be: what waits for it is refused, and
no line is added before it has been made up for.

When the audit key was rotated, the chain records the changes (`audit_key.rotated`) before its first checkpoint under
the new key: whoever writes the chain asks for them (`changes_due`, and `behind` after opening), records them, and calls
`turn`. Until then nothing is signed after an opening, and the old key goes on signing in a gateway that runs.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.audit.audit_disk import Disk, RealDisk
from gateway.audit.audit_key import KEY_NAME, AuditKey, UnfitAuditKey, list_vkey, open_audit_key
from gateway.audit.checkpoint_file import CheckpointFile, CheckpointsBroken
from policies.auditing.checkpoint import Checkpoint, instance_of
from policies.auditing.merkle import CompactRange

EVERY_S = 10.0
"""How long a record may stand without a checkpoint; with an anchor off this host, the window an intruder has."""
EVERY_RECORDS = 1000

OnCheckpoint = Callable[[bytes], None]
"""Takes the signed note, in the writer's thread; must neither wait nor raise."""


class Checkpointer:
    """Signs one chain. `subscribe` what is to be told of each checkpoint, once it is lasting."""

    def __init__(
        self,
        file: CheckpointFile,
        origin: str,
        tree: CompactRange,
        clock: Callable[[], float],
        key: AuditKey,
        disk: Disk,
    ) -> None:
        self._key = key
        self._disk = disk
        self._key_state: tuple[int, ...] = ()
        self._strange: tuple[int, ...] = ()
        self.behind = key.changes_since(file.last_key)
        """The changes of the key that the chain has not recorded; while there are any, nothing is signed."""
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
        file = CheckpointFile(folder, disk, signer, key.end_signer(folder.name), key.older_verifiers(folder.name))
        if file.last is not None:
            _demand_same_log(file.last, tree)
        checkpointer = cls(file, signer.name, tree, clock, key, disk)
        if not checkpointer.behind:
            checkpointer.turn(key, tree)
        return checkpointer

    def changes_due(self) -> tuple[AuditKey, tuple[bytes, ...]] | None:
        """The key in place of ours, and the changes that lead to it, once somebody has rotated it. Raises OSError.

        A key in that place to which no change leads is none: ours goes on, and the next start refuses that one.
        """
        state = _state_of(self._key)  # before it is read: what replaces it meanwhile is seen the next time
        if state == self._key_state:
            return None
        try:
            key = open_audit_key(self._key.listing.parent)
        except UnfitAuditKey as fault:
            self._complain(state, str(fault))
            return None
        changes = key.changes_since(self._key.public_key)
        if changes:
            return key, changes
        if key.public_key != self._key.public_key:
            self._complain(state, "no change leads to this key")
        self._key_state = state
        return None

    def _complain(self, state: tuple[int, ...], cause: str) -> None:
        """Once for each such file."""
        if state != self._strange:
            structlog.get_logger().error("audit.strange_key", cause=cause)
        self._strange = state

    def turn(self, key: AuditKey, tree: CompactRange) -> None:
        """Sign with `key` from now on, over the lines that make up `tree`, and list it. Raises UnfitAuditKey, OSError.

        What led to it is recorded in those lines.
        """
        instance = instance_of(self._origin)
        signer = key.signer(instance)
        self._file.sign_with(signer, key.end_signer(instance))
        self._key, self._key_state, self._tree, self.behind = key, (), tree, ()
        self.make()
        list_vkey(key.listing, signer.verifier, self._disk)

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
        """A checkpoint over all lines, unless there is one, or a change of the key is to be recorded first.

        Raises OSError.
        """
        if self.behind:
            return
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


def _state_of(key: AuditKey) -> tuple[int, ...]:
    """What tells the file of one key from that of another. Raises OSError."""
    try:
        found = (key.listing.parent / KEY_NAME).stat()
    except FileNotFoundError:  # what signs is in memory; a start without the file is refused
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _demand_same_log(last: Checkpoint, tree: CompactRange) -> None:
    """A log that is shorter than, or other than, what it has signed must not be signed again (tlog-checkpoint)."""
    if tree.size < last.size:
        raise CheckpointsBroken(f"a checkpoint covers {last.size} records, and there are only {tree.size}")
    if tree.size == last.size and tree.root() != last.root:
        raise CheckpointsBroken(f"the {last.size} records are not those that the last checkpoint covers")
