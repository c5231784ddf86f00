"""Shares with their intervals, and when a bound counts as missed: only where the whole interval lies beyond it."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Z95 = 1.959964
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: its value, the 95 % interval around it, and how many observations it is made of."""

    value: float
    low: float
    high: float
    count: int

    def told(self) -> dict[str, float]:
        """As it is written into a report."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4), "n": self.count}

    def at_least(self, bound: float) -> bool:
        """False only where the whole interval lies below `bound`."""
        return self.high >= bound

    def at_most(self, bound: float) -> bool:
        """False only where the whole interval lies above `bound`."""
        return self.low <= bound

    def within(self, middle: float, distance: float) -> bool:
        """False only where the whole interval lies farther than `distance` from `middle`."""
        return self.high >= middle - distance and self.low <= middle + distance


NOTHING = Figure(math.nan, 0.0, 1.0, 0)
"""What no observation says: anything. It misses no bound, and its count says why."""


def wilson(hits: int, count: int) -> Figure:
    """The share `hits` of `count` with Wilson's score interval (JASA 22, 1927), 95 %."""
    if not count:
        return NOTHING
    share, z2 = hits / count, Z95 * Z95
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return Figure(share, max(0.0, middle - half), min(1.0, middle + half), count)


def share_of(flags: Sequence[bool]) -> Figure:
    """The share of true ones, with Wilson's interval."""
    return wilson(sum(flags), len(flags))


def ratio_of_sums(pairs: Sequence[tuple[float, float]], seed: int = 1) -> Figure:
    """Sum of the first over sum of the second of each pair, with a bootstrap interval over the pairs (Efron 1979).

    For a ratio of amounts and not of counts: slot time wasted over slot time, seconds predicted over waited.
    """
    if not sum(below for _, below in pairs):
        return NOTHING
    generator = random.Random(seed)
    found = sorted(_ratio(generator.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return Figure(_ratio(pairs), found[RESAMPLES // 40], found[RESAMPLES - 1 - RESAMPLES // 40], len(pairs))


def shifted(figure: Figure, by: float) -> Figure:
    """The same figure counted from another zero."""
    return Figure(figure.value + by, figure.low + by, figure.high + by, figure.count)


def quantile(values: Sequence[float], part: float) -> float:
    """The `part` quantile (0 to 1) of `values`, NaN without any."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def mean(values: Sequence[float]) -> float:
    """Their mean, NaN without any."""
    return fmean(values) if values else math.nan


def rounded(tree: Any, digits: int = 4) -> Any:
    """A report's tree with every number short enough to read, and None for what was not measured."""
    match tree:
        case dict():
            return {key: rounded(value, digits) for key, value in tree.items()}
        case list() | tuple():
            return [rounded(value, digits) for value in tree]
        case float():
            return None if math.isnan(tree) else round(tree, digits)
    return tree


Decide = Callable[[Figure], bool]


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    above, below = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    return above / below if below else 0.0
