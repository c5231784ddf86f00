"""How much longer than predicted waits turn out: factors that make a quantile of a raw prediction, learnt online.

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
SHORTEST_S = 0.2
"""Shorter predictions tell nothing: scheduling noise is as long."""


class WaitQuantiles:
    """The factors of one team in one pool, for the quantile that admission judges by and for 90 %."""

    def __init__(self) -> None:
        self._likely = [math.log(FIRST_FACTOR)] * (len(BUCKETS_S) + 1)
        self._p90 = [math.log(2 * FIRST_FACTOR)] * (len(BUCKETS_S) + 1)

    def likely_s(self, wait_s: float) -> float:
        """The quantile of a wait predicted as `wait_s`."""
        return wait_s * math.exp(self._likely[_bucket(wait_s)])

    def p90_s(self, wait_s: float) -> float:
        """The 90 % quantile, never below the other."""
        bucket = _bucket(wait_s)
        return wait_s * math.exp(max(self._p90[bucket], self._likely[bucket]))

    def learn(self, wait_s: float, actual_s: float, quantile: float) -> None:
        """A wait predicted as `wait_s` took `actual_s`, or at least so long."""
        if wait_s < SHORTEST_S:
            return
        bucket = _bucket(wait_s)
        self._likely[bucket] = _moved(self._likely[bucket], actual_s, wait_s, quantile)
        self._p90[bucket] = _moved(self._p90[bucket], actual_s, wait_s, 0.9)


def _bucket(wait_s: float) -> int:
    return sum(wait_s >= edge for edge in BUCKETS_S)


def _moved(log_factor: float, actual_s: float, wait_s: float, quantile: float) -> float:
    step = quantile if actual_s > wait_s * math.exp(log_factor) else quantile - 1
    return min(max(log_factor + GAIN * step, LEAST), MOST)
