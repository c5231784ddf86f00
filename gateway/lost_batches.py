"""Connections to workers that were lost with requests on them, until it is known whether their process died. Pure.

A worker that was taken over may drop its connections, and would have every request on them accused. So one that was
lost accuses nobody by itself:

 (1) The supervisor counts the deaths of each process, and writes one down before it starts the next. What was lost is
     a death once that count is another than it was when the process greeted last.
 (2) A process that greets again without a death is the same one: nobody is accused. Nor is anybody after `LAPSE_S`.
 (3) Where nobody counts deaths (None) a lost connection is all there is to see, and stands for one.
"""

from collections.abc import Callable

from msgspec import Struct

from engine.interface import Prepared

LAPSE_S = 60.0
"""A supervisor hears of an end at once; one that was stopped meanwhile is not waited for longer."""

DeathsOf = Callable[[str], int | None]
"""How often the process behind a target has died; None where nobody counts."""


class LostBatch(Struct, frozen=True):
    """What ran on `target` when its connection was lost, at `since_s`; `alone`: nobody else's beside."""

    target: str
    batch: tuple[Prepared, ...]
    alone: bool
    since_s: float


class LostBatches:
    """See the head of the module."""

    def __init__(self) -> None:
        self._lost: list[LostBatch] = []
        self._at_greeting: dict[str, int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._lost)

    def add(self, lost: LostBatch) -> None:
        """One more."""
        self._lost.append(lost)

    def died(self, deaths_of: DeathsOf, now_s: float) -> list[LostBatch]:
        """Those that are known to be deaths by now, the oldest first; they are told once."""
        counts = {each.target: deaths_of(each.target) for each in self._lost}
        found = [each for each in self._lost if self._is_death(each.target, counts[each.target])]
        self._lost = [each for each in self._lost if each not in found and now_s - each.since_s < LAPSE_S]
        return found

    def greeted(self, target: str, deaths: int | None) -> list[LostBatch]:
        """The process behind `target` serves, after so many deaths. Those that were lost to it and were no death."""
        spared = [each for each in self._lost if each.target == target]
        self._lost = [each for each in self._lost if each.target != target]
        self._at_greeting[target] = deaths
        return spared

    def _is_death(self, target: str, deaths: int | None) -> bool:
        return deaths is None or deaths != (self._at_greeting.get(target) or 0)
