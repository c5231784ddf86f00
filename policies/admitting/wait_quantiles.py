"""How much longer than predicted waits turn out: factors that make the mean and quantiles of a raw prediction.

The mean is what a caller is told: all seconds waited over all seconds predicted of the last waits, the older ones
faded; one factor for all sizes, so that a longer raw prediction is never told as a shorter wait. Who was turned away
while it waited counts with what it had waited: left out, the waits of those that got a slot look too short.

For each size of prediction ln q moves up by gain * p when the wait was longer than W * q, and down by gain * (1 - p)
when it was not: the gradient of the pinball loss, which is adaptive conformal inference (Gibbs and Candes, NeurIPS
2021, eq. 2) on the ratio of actual to raw prediction. It is held to the raw prediction on purpose: comparing with
the corrected one would feed a delayed error back into itself and oscillate. Buckets by size, since short predictions
are off by more (Mondrian conformal prediction).
"""

import math

GAIN = 0.08
BUCKETS_S = (1.0, 3.0, 8.0)
FIRST_FACTOR = 1.4
LEAST, MOST = math.log(0.3), math.log(8.0)
MEMORY_WAITS = 50
RIGHT_AT_FIRST = 10
"""The first wait counts beside so many that were predicted right."""
SHORTEST_S = 0.2
"""Shorter predictions tell nothing: scheduling noise is as long."""


class WaitQuantiles:
    """The factors of one team in one pool: for the mean, the quantile that admission judges by, and 90 %."""

    def __init__(self) -> None:
        self._likely = [math.log(FIRST_FACTOR)] * (len(BUCKETS_S) + 1)
        self._p90 = [math.log(2 * FIRST_FACTOR)] * (len(BUCKETS_S) + 1)
        self._raw_s = self._actual_s = 0.0

    def mean_s(self, raw_s: float) -> float:
        """The wait to expect where the raw prediction is `raw_s`."""
        factor = self._actual_s / self._raw_s if self._raw_s else 1.0
        return raw_s * min(max(factor, math.exp(LEAST)), math.exp(MOST))

    def likely_s(self, wait_s: float) -> float:
        """The quantile of a wait predicted as `wait_s`."""
        return wait_s * math.exp(self._likely[_bucket(wait_s)])

    def p90_s(self, wait_s: float) -> float:
        """The 90 % quantile, never below the other."""
        bucket = _bucket(wait_s)
        return wait_s * math.exp(max(self._p90[bucket], self._likely[bucket]))

    def learn(self, wait_s: float, actual_s: float, quantile: float) -> None:
        """A wait predicted as `wait_s` took `actual_s`, or at least so long."""
        self._learn_mean(wait_s, actual_s)
        if wait_s < SHORTEST_S:
            return
        bucket = _bucket(wait_s)
        self._likely[bucket] = _moved(self._likely[bucket], actual_s, wait_s, quantile)
        self._p90[bucket] = _moved(self._p90[bucket], actual_s, wait_s, 0.9)

    def _learn_mean(self, raw_s: float, actual_s: float) -> None:
        if not 0 < raw_s < math.inf:
            return
        if not self._raw_s:
            self._raw_s = self._actual_s = RIGHT_AT_FIRST * raw_s
        self._raw_s += raw_s - self._raw_s / MEMORY_WAITS
        self._actual_s += actual_s - self._actual_s / MEMORY_WAITS


def _bucket(wait_s: float) -> int:
    return sum(wait_s >= edge for edge in BUCKETS_S)


def _moved(log_factor: float, actual_s: float, wait_s: float, quantile: float) -> float:
    step = quantile if actual_s > wait_s * math.exp(log_factor) else quantile - 1
    return min(max(log_factor + GAIN * step, LEAST), MOST)
