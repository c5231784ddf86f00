"""How many cells of the context memory are in use: an account of what llama.cpp's unified cache holds.

A cell holds the keys and values of one token. Rules:
 1. A sequence that grows takes free cells, one a token.
 2. Copying the first tokens of a sequence gives its cells a second holder and takes none.
 3. A cell is free again once no sequence holds it.

How it is counted: a run is a stretch of cells that one sequence began. Only beginnings are ever copied and only
ends ever cut, so each holder of a run holds its first cells, and the longest holder tells how many are in use.
A sequence grows the run it ends with when it stands at that run's end, else it begins one. So no operation
touches single cells. The account does not act: who cuts, copies or decodes tells it.
"""

from collections import defaultdict
from collections.abc import Collection


class Run:
    """A stretch of cells; `holders` says how many first ones each sequence holds."""

    __slots__ = ("holders", "used")

    def __init__(self) -> None:
        self.holders: dict[int, int] = {}
        self.used = 0

    def hold(self, sequence: int, tokens: int) -> int:
        """Let `sequence` hold the first `tokens`; returns by how many cells the use changed."""
        if tokens:
            self.holders[sequence] = tokens
        else:
            self.holders.pop(sequence, None)
        before, self.used = self.used, max(self.holders.values(), default=0)
        return self.used - before


class CellAccount:
    """The account of `cells`. A sequence is any number; one that was never mentioned is empty."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.used = 0
        self._runs: defaultdict[int, list[Run]] = defaultdict(list)

    @property
    def free(self) -> int:
        return self.cells - self.used

    def tokens(self, sequence: int) -> int:
        """How many tokens the sequence has."""
        return sum(run.holders[sequence] for run in self._runs[sequence])

    def grow(self, sequence: int, tokens: int) -> None:
        """The sequence got `tokens` more."""
        runs = self._runs[sequence]
        if not runs or runs[-1].holders[sequence] != runs[-1].used:
            runs.append(Run())
        self.used += runs[-1].hold(sequence, runs[-1].holders.get(sequence, 0) + tokens)

    def cut(self, sequence: int, start: int) -> None:
        """The sequence lost what it had from token `start` on."""
        kept = []
        for run in self._runs[sequence]:
            tokens = min(run.holders[sequence], start)
            self.used += run.hold(sequence, tokens)
            start -= tokens
            if tokens:
                kept.append(run)
        self._runs[sequence] = kept

    def copy(self, source: int, target: int, tokens: int) -> None:
        """The empty `target` now shares the first `tokens` of `source`."""
        for run in self._runs[source]:
            shared = min(run.holders[source], tokens)
            if shared:
                run.hold(target, shared)
                self._runs[target].append(run)
            tokens -= shared

    def held_by(self, sequences: Collection[int]) -> int:
        """How many cells would be in use if all other sequences were empty."""
        runs = {id(run): run for sequence in sequences for run in self._runs[sequence]}
        return sum(max(run.holders.get(sequence, 0) for sequence in sequences) for run in runs.values())
