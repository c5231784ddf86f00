"""How well waits were foretold, by length of the prediction and by position in the queue.

Of requests that had to wait and got a slot. The floor: with Q ahead in GI/M/s the wait is a sum of Q+1 exponentials, so
no predictor without exact residuals has a relative root-mean-square error below 1/sqrt(Q+1). Those who were turned
away or left while waiting never show the wait they would have had, and are not in here: read the refusals beside it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from msgspec import Struct

from gateway.simulating.outcome import Outcome

SHORT_WAIT_S = 0.5
"""Below it a relative error says nothing about a prediction."""
LONG_WAIT_S = 1.0
"""Coverage is also given for waits above this: near nothing, every quantile covers."""
WAIT_BUCKETS_S = (1.0, 3.0, 8.0)
POSITIONS = ((1, 1), (2, 4), (5, 10), (11, 31), (32, 100))
"""Places among the team's own waiters, 1 the first: Q = 0, 1 to 3, 4 to 9, 10 to 30 and more ahead."""


class Prediction(Struct, frozen=True, kw_only=True):
    """`bias` is (mean predicted - mean actual) / mean actual; `error` the root mean square error over the mean wait.

    `coverage` is the share of waits within the quantile that admission judges by, `coverage_90` within the 90 % one,
    `coverage_long` that of waits above a second. Seconds in `_s`; None: too few to say.
    """

    waits: int
    mean_wait_s: float
    mean_error_s: float
    bias: float
    error: float
    median_relative_error: float | None
    coverage: float
    coverage_90: float
    coverage_long: float | None


def predictions(outcomes: Iterable[Outcome]) -> dict[str, Prediction]:
    """By name of the group: `all`, each bucket of predicted seconds, each range of positions; none that is empty."""
    told = [one for one in outcomes if _told_s(one) > 0 and one.started_s is not None]
    edges = (0.0, *WAIT_BUCKETS_S, float("inf"))
    chosen = {"all": told}
    for low, high in pairwise(edges):
        chosen[f"predicted {low:g} to {high:g} s"] = [one for one in told if low <= _told_s(one) < high]
    for first, last in POSITIONS:
        chosen[f"position {first} to {last}"] = [one for one in told if first <= _position(one) <= last]
    return {name: _prediction(members) for name, members in chosen.items() if members}


def _told_s(one: Outcome) -> float:
    return one.forecast.wait_s if one.forecast else 0.0


def _position(one: Outcome) -> int:
    return one.forecast.position if one.forecast else 0


def _prediction(outcomes: Sequence[Outcome]) -> Prediction:
    rows = [
        (one.forecast.wait_s, one.forecast.likely_s, one.forecast.p90_s, one.started_s - one.asked_s)
        for one in outcomes
        if one.forecast is not None and one.started_s is not None
    ]
    count, mean_s = len(rows), sum(row[3] for row in rows) / len(rows)
    relative = [abs(raw - actual) / actual for raw, _, _, actual in rows if actual > SHORT_WAIT_S]
    longer = [actual <= likely for _, likely, _, actual in rows if actual > LONG_WAIT_S]
    per_mean = 1 / mean_s if mean_s > 0 else 0.0
    return Prediction(
        waits=count,
        mean_wait_s=mean_s,
        mean_error_s=sum(abs(raw - actual) for raw, _, _, actual in rows) / count,
        bias=sum(raw - actual for raw, _, _, actual in rows) / count * per_mean,
        error=(sum((raw - actual) ** 2 for raw, _, _, actual in rows) / count) ** 0.5 * per_mean,
        median_relative_error=median(relative) if relative else None,
        coverage=sum(actual <= likely for _, likely, _, actual in rows) / count,
        coverage_90=sum(actual <= p90 for _, _, p90, actual in rows) / count,
        coverage_long=sum(longer) / len(longer) if longer else None,
    )
