"""Revocations and lockdowns: on disk beside the keys, and in memory for every check.

A revocation or a lockdown counts in memory at once, even when the disk then refuses it: what its owner wants
dead must not live on a full disk. It is written again at each refresh until the disk takes it. To lift a
lockdown is the other direction: on disk first.
"""

from collections.abc import Callable, Iterable
from typing import Any

from gateway.keys.tables import LOCKDOWNS, REVOCATIONS, UNLOCK
from policies.credentials.revocation import Lockdown, Revocation, Revocations
from policies.errors import PolicyUnavailable

Write = Callable[[str, list[dict[str, Any]]], int]
"""Runs a statement over rows in one transaction and answers how many rows changed; raises PolicyUnavailable."""


class RevocationStore:
    """What is revoked and locked now; `current` is replaced whole at every change."""

    def __init__(self, write: Write) -> None:
        self.current = Revocations()
        self._write = write
        self._unwritten: list[Revocation | Lockdown] = []
        self._on_change: list[Callable[[], None]] = []

    def revoke(self, entry: Revocation) -> None:
        """From now on. Raises PolicyUnavailable when the disk refuses it; it holds in memory even then."""
        self._now(self.current.with_revocations([entry]))
        self._write_or_keep(entry)

    def lock(self, entry: Lockdown) -> None:
        """From now on. Raises PolicyUnavailable when the disk refuses it; it holds in memory even then."""
        self._now(self.current.with_lockdowns([entry]))
        self._write_or_keep(entry)

    def lift(self, team: str) -> None:
        """Let `team` (or ALL_TEAMS) in again. Raises PolicyUnavailable, with the lockdown in force."""
        self._write(UNLOCK, [{"team": team}])
        self._unwritten = [each for each in self._unwritten if not (isinstance(each, Lockdown) and each.team == team)]
        self._now(self.current.without_lockdown(team))

    def take(self, revocations: Iterable[Revocation], lockdowns: Iterable[Lockdown]) -> None:
        """What the disk holds now, and what it does not yet; a revocation once known stays known."""
        pending = list(self._unwritten)
        read = self.current.with_revocations(revocations)
        read = Revocations(read.entries).with_lockdowns(lockdowns)
        self._now(read.with_lockdowns(each for each in pending if isinstance(each, Lockdown)))

    def write_again(self) -> None:
        """Try what the disk refused before. Raises PolicyUnavailable and keeps what is left."""
        while self._unwritten:
            self._write_one(self._unwritten[0])
            del self._unwritten[0]

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after each change. It must not block or raise."""
        self._on_change.append(callback)

    def _write_or_keep(self, entry: Revocation | Lockdown) -> None:
        try:
            self._write_one(entry)
        except PolicyUnavailable:
            self._unwritten.append(entry)
            raise

    def _write_one(self, entry: Revocation | Lockdown) -> None:
        if isinstance(entry, Revocation):
            self._write(REVOCATIONS.upsert, [REVOCATIONS.row(entry)])
        else:
            self._write(LOCKDOWNS.upsert, [LOCKDOWNS.row(entry)])

    def _now(self, current: Revocations) -> None:
        if current == self.current:
            return
        self.current = current
        for callback in self._on_change:
            callback()
