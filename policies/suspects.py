"""Which requests, and whose, may have ended a worker, and what follows. No I/O, no clock: `now_s` is an argument.

A request is known by its fingerprint, any bytes that are equal for equal requests; a caller by any name of its own.
Rules for requests:
 (1) The death of a worker makes every request that ran there a suspect. Nobody can tell which of them it was, and a
     death may have had nothing to do with any.
 (2) A suspect that returns runs alone. One that then ends well is cleared.
 (3) One that was a suspect, ran alone, and took its worker along once more is refused from then on. A request that
     happened to run alone when a worker died for the first time is a suspect as any other.
 (4) What is known lapses after `LAPSE_S`, and at most `MOST` are known: suspects give way before those refused, the
     oldest first. So a flood of suspects does not let go of what kills.

Rules for callers, since one that changes its request each time would never be found by the rules above:
 (5) A death counts against each caller whose requests ran there, unless all of them were at a counted death before:
     those are known by themselves. It counts for `OWN_LAPSE_S` where no other caller's ran beside them, and for
     `SHARED_LAPSE_S`, the time in which a crash loop is counted, where others' did.
 (6) At `DEATHS` that count a caller's requests run alone, so that a next death tells. `DEATHS` and that one are fewer
     than the five deaths that put a worker into quarantine (`engine.restarts`).
 (7) A caller whose requests run alone, and whose one request takes its worker along, is refused for `REFUSAL_S`.
     Whoever only ran beside it is refused nothing, and runs with others again after `SHARED_LAPSE_S`.
 (8) At most `MOST` callers are known: those that are not refused give way first, the oldest first.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

LAPSE_S = 3600.0
MOST = 4096
"""Two deaths a second for half an hour, of workers with one slot; 400 KB."""

DEATHS = 3
OWN_LAPSE_S = LAPSE_S
SHARED_LAPSE_S = 60.0
REFUSAL_S = 600.0
"""Long enough that a key can end one worker in ten minutes, short enough to come back from a crash that was not its."""

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


class Verdict(Struct, frozen=True):
    """What a death has changed: callers whose requests run alone by now, and the one that is refused ("": none)."""

    run_alone: tuple[str, ...] = ()
    refused: str = ""


class CountedDeath(Struct, frozen=True):
    """A death that counts against a caller until `lapses_s`, and which of its requests ran there."""

    lapses_s: float
    fingerprints: frozenset[bytes]


class SuspectCallers:
    """Rules 5 to 8."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._counted: dict[str, tuple[CountedDeath, ...]] = {}
        self._refused_until: dict[str, float] = {}

    def standing(self, caller: str, now_s: float) -> Standing:
        """What a request of this caller may do."""
        if self.refused_for_s(caller, now_s) > 0:
            return "refused"
        return "suspect" if len(self._counts(caller, now_s)) >= DEATHS else "clear"

    def refused_for_s(self, caller: str, now_s: float) -> float:
        """For how many seconds more the caller is refused; 0: it is not."""
        return max(0.0, self._refused_until.get(caller, now_s) - now_s)

    def died(self, batch: Iterable[tuple[str, bytes]], now_s: float, *, alone: bool) -> Verdict:
        """A worker died while `batch` ran there, each request with its caller ("": not known, held against nobody).

        `alone`: nothing ran beside it.
        """
        requests = list(batch)
        callers = {caller for caller, _ in requests}
        if alone and len(requests) == 1 and self.standing(caller := requests[0][0], now_s) == "suspect":
            self._refused_until[caller] = now_s + REFUSAL_S
            return Verdict(refused=caller)
        lapses_s = now_s + (OWN_LAPSE_S if alone and len(callers) == 1 else SHARED_LAPSE_S)
        new = [each for each in sorted(callers - {""}) if self._count(each, requests, lapses_s, now_s)]
        return Verdict(run_alone=tuple(each for each in new if len(self._counted[each]) == DEATHS))

    def counts(self, now_s: float) -> tuple[int, int]:
        """How many callers' requests run alone, and how many callers are refused."""
        known = [self.standing(each, now_s) for each in self._counted]
        return known.count("suspect"), known.count("refused")

    def _count(self, caller: str, batch: Iterable[tuple[str, bytes]], lapses_s: float, now_s: float) -> bool:
        """Whether the death counts against the caller (rule 5)."""
        fingerprints = frozenset(each for whose, each in batch if whose == caller)
        counted = self._counts(caller, now_s)
        if all(any(each in death.fingerprints for death in counted) for each in fingerprints):
            return False
        self._counted.pop(caller, None)  # to the end: it gives way last
        self._make_room(now_s)
        # The ones that lapse last are kept: more than `DEATHS` say nothing more.
        counted = (*counted, CountedDeath(lapses_s, fingerprints))
        self._counted[caller] = tuple(sorted(counted, key=lambda each: each.lapses_s))[-DEATHS:]
        return True

    def _counts(self, caller: str, now_s: float) -> tuple[CountedDeath, ...]:
        return tuple(each for each in self._counted.get(caller, ()) if each.lapses_s > now_s)

    def _make_room(self, now_s: float) -> None:
        """Rule 8."""
        while len(self._counted) >= self._most:
            harmless = (each for each in self._counted if self.standing(each, now_s) != "refused")
            gone = next(harmless, next(iter(self._counted)))
            del self._counted[gone]
            self._refused_until.pop(gone, None)
