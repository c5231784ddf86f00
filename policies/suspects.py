"""Which requests may have ended a worker, and what follows for them. No I/O, no clock: `now_s` is an argument.

A request is known by its fingerprint, any bytes that are equal for equal requests. Rules:
 (1) The death of a worker makes every request that ran there a suspect. Nobody can tell which of them it was, and a
     death may have had nothing to do with any.
 (2) A suspect that returns runs alone. One that then ends well is cleared.
 (3) One that was a suspect, ran alone, and took its worker along once more is refused from then on. A request that
     happened to run alone when a worker died for the first time is a suspect as any other.
 (4) What is known lapses after `LAPSE_S`, and at most `MOST` are known: suspects give way before those refused, the
     oldest first. So a flood of suspects does not let go of what kills.
"""

from collections.abc import Collection
from typing import Literal

LAPSE_S = 3600.0
MOST = 4096
"""Two deaths a second for half an hour, of workers with one slot; 400 KB."""

Standing = Literal["clear", "suspect", "refused"]


class Suspects:
    """See the head of the module."""

    def __init__(self, *, most: int = MOST, lapse_s: float = LAPSE_S) -> None:
        self._most = most
        self._lapse_s = lapse_s
        # Fingerprint -> when it lapses; always in the order of that moment.
        self._suspects: dict[bytes, float] = {}
        self._killers: dict[bytes, float] = {}

    def is_empty(self) -> bool:
        """True while no request stands out: then nobody needs a fingerprint."""
        return not (self._suspects or self._killers)

    def standing(self, fingerprint: bytes, now_s: float) -> Standing:
        """What a request may do: run as any other, run alone, or not at all."""
        self._forget_lapsed(now_s)
        if fingerprint in self._killers:
            return "refused"
        return "suspect" if fingerprint in self._suspects else "clear"

    def died(self, batch: Collection[bytes], now_s: float, *, alone: bool) -> bytes | None:
        """A worker died while `batch` ran there. The fingerprint that is refused from now on, None for none.

        `alone`: the one request of `batch` was run alone as a suspect, and nothing else ran beside it.
        """
        self._forget_lapsed(now_s)
        if alone and len(batch) == 1:
            (killer,) = batch
            if killer in self._suspects:
                del self._suspects[killer]
                self._note(self._killers, killer, now_s)
                return killer
        for each in batch:
            if each not in self._killers:
                self._note(self._suspects, each, now_s)
        return None

    def ended_well(self, fingerprint: bytes) -> None:
        """A suspect ran alone to its end: it is one no more. Nothing clears what is refused."""
        self._suspects.pop(fingerprint, None)

    def counts(self, now_s: float) -> tuple[int, int]:
        """How many suspects there are, and how many are refused."""
        self._forget_lapsed(now_s)
        return len(self._suspects), len(self._killers)

    def _note(self, table: dict[bytes, float], fingerprint: bytes, now_s: float) -> None:
        table.pop(fingerprint, None)  # to the end: it lapses last
        while len(self._suspects) + len(self._killers) >= self._most:
            crowded = self._suspects or self._killers
            del crowded[next(iter(crowded))]
        table[fingerprint] = now_s + self._lapse_s

    def _forget_lapsed(self, now_s: float) -> None:
        for table in (self._suspects, self._killers):
            while table and table[oldest := next(iter(table))] <= now_s:
                del table[oldest]
