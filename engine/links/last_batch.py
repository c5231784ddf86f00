"""What may have run on a worker at the moment it died, as one gateway knows it. Pure.

Rules
 (1) What runs counts, and what was left since the worker last showed by a step that it goes on: who kills a worker and
     leaves at once would go unseen otherwise.
 (2) The batch was alone there when the worker never told of more busy slots than it has requests while they ran:
     other gateways may use the same worker.
"""

from collections.abc import Iterable

from engine.interface import Prepared


class LastBatch:
    """See the head of the module."""

    def __init__(self) -> None:
        self._left: list[Prepared] = []
        self._left_before: list[Prepared] = []
        self._busy_slots = 0
        self._most_busy = 0

    def started(self, others: int) -> None:
        """A request was sent there; `others` of this gateway run already."""
        if not others:
            self._most_busy = self._busy_slots

    def left(self, prepared: Prepared) -> None:
        """A request was cancelled; the worker has yet to hear of it."""
        self._left.append(prepared)

    def stepped(self, busy_slots: int) -> None:
        """The worker made a step, after which so many slots are in use. It may have begun before the last `left`."""
        self._busy_slots, self._most_busy = busy_slots, max(self._most_busy, busy_slots)
        self._left, self._left_before = [], self._left if busy_slots else []

    def died(self, running: Iterable[Prepared]) -> tuple[tuple[Prepared, ...], bool]:
        """What may have run, and whether nobody else's ran beside it."""
        batch = (*running, *self._left, *self._left_before)
        alone = bool(batch) and self._most_busy <= len(batch)
        self._left, self._left_before, self._busy_slots = [], [], 0
        return batch, alone
