"""Rates: the generic cell rate algorithm (GCRA, ITU-T I.371) in integer nanoseconds.

One number a bucket, the theoretical arrival time (TAT): the moment at which the bucket would be full
again. A request costs one emission interval; it conforms when the TAT it causes is at most
`burst` intervals ahead of now. Integers, because floating point drifts over days. For every schedule
admitted(t, t + W) <= burst + W * rate. What is limited, and whose it is, stands in `limits.py`.
"""

from msgspec import Struct

NS_PER_MINUTE = 60_000_000_000


class Rate(Struct, frozen=True):
    """`per_minute` requests sustained, `burst` at once from a full bucket."""

    per_minute: int
    burst: int

    @property
    def interval_ns(self) -> int:
        """Nanoseconds one request costs, rounded up so that the rate is never exceeded."""
        return -(-NS_PER_MINUTE // self.per_minute)


class Conforming(Struct, frozen=True):
    """The request fits; `tat_ns` is the bucket's new state."""

    tat_ns: int


class TooSoon(Struct, frozen=True):
    """The request does not fit; at `now + retry_after_ns` it would."""

    retry_after_ns: int


def gcra(rate: Rate, tat_ns: int | None, now_ns: int) -> Conforming | TooSoon:
    """Decide one request against a bucket whose state is `tat_ns` (None: never used).

    A clock that went back makes the bucket wait at most a full burst: a TAT further ahead than that
    cannot have come from this rate and is pulled in.
    """
    horizon_ns = rate.burst * rate.interval_ns
    start_ns = max(min(tat_ns or 0, now_ns + horizon_ns), now_ns)
    new_tat_ns = start_ns + rate.interval_ns
    ahead_ns = new_tat_ns - now_ns - horizon_ns
    return Conforming(new_tat_ns) if ahead_ns <= 0 else TooSoon(ahead_ns)
