"""What a worker did for whom, counted by itself from its start to its end: one tally a gateway's name.

The gateway writes them into the audit log, where `corral audit reconcile` holds them against the records. So whoever
puts a call straight into the socket is counted too: under no name, or, with a gateway's, as one more than it recorded.
Rules:
 (1) Taken is a start that was answered by anything but `SlotTaken`, so every start is counted once.
 (2) Ended and failed are endings that were sent; what is neither, and does not run, was cancelled.
 (3) Names are what a gateway says of itself. Beyond `MAX_NAMES` they share one tally: the table stays small, and a
     flood of names can neither fill the memory nor drop anybody's count.
"""

from collections.abc import Iterable

from engine.frames import Ended, Tally

MAX_NAMES = 256
OTHERS = "(others)"


class _Count:
    """One tally as it grows."""

    __slots__ = ("ended", "failed", "output_tokens", "prompt_tokens", "taken")

    def __init__(self) -> None:
        self.taken = self.ended = self.failed = self.prompt_tokens = self.output_tokens = 0


class Tallies:
    """The tallies of one worker's life."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def took(self, name: str) -> None:
        """A start of this gateway was taken."""
        self._of(name).taken += 1

    def ended(self, name: str, ended: Ended) -> None:
        """A request of this gateway came to its end; tokens count where it has a reason."""
        count = self._of(name)
        if ended.fault:
            count.failed += 1
            return
        count.ended += 1
        count.prompt_tokens += ended.prompt_tokens
        count.output_tokens += ended.output_tokens

    def told(self, connected: Iterable[str]) -> tuple[Tally, ...]:
        """All tallies, of those who have started anything; `connected` are the names that hold a connection now."""
        here = set(connected)
        return tuple(
            Tally(
                gateway=name,
                connected=name in here,
                taken=count.taken,
                ended=count.ended,
                failed=count.failed,
                prompt_tokens=count.prompt_tokens,
                output_tokens=count.output_tokens,
            )
            for name, count in self._counts.items()
        )

    def _of(self, name: str) -> _Count:
        known = name if name in self._counts or len(self._counts) < MAX_NAMES else OTHERS
        return self._counts.setdefault(known, _Count())
