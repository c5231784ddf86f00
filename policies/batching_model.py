"""A line before slots that decode together: the more of them are busy, the longer each takes. Decides nothing.

One step of continuous batching gives every busy slot one token, and a step with more rows takes longer. So the time a
slot is held depends on how many others are busy, and n requests in the pool leave it at a rate

    mu(n) = n / (prefill + o tau(n))      for n up to all slots, mu(slots) for more

with o output tokens and tau(n) seconds a token at that occupancy. Source: the queue analyzer of IBM's Inferno and of
llm-d's workload-variant autoscaler (`BuildModel`), a state-dependent M/M/1/K, with three changes: tau is the measured
table, not alpha + beta n, as measured steps are concave in n; prefill is a measured constant; and it is measured
without the step that makes the first token, hence o and not o - 1. The probabilities are those of any birth-and-death
chain, p(n) = p(n-1) lambda / mu(n) (L. Kleinrock, "Queueing Systems" volume 1, 1975, equation 3.11). Arrivals at
random; the work of a request exponential.
"""

import math
from itertools import accumulate

from msgspec import Struct

Table = tuple[tuple[int, float], ...]
"""For some numbers of requests decoded at once, ascending: seconds for one token of each."""


class Work(Struct, frozen=True, kw_only=True):
    """What a mean request costs the slot it runs in.

    `fixed_s` is what does not depend on occupancy (prefill), `decode_tokens` how many tokens are decoded,
    `decode_s` the measured table. Raises ValueError for negative values, an empty or unordered table where tokens are
    decoded, and for work that costs nothing.
    """

    fixed_s: float
    decode_tokens: float = 0.0
    decode_s: Table = ()

    def __post_init__(self) -> None:
        if not (0 <= self.fixed_s < math.inf and 0 <= self.decode_tokens < math.inf):
            raise ValueError("fixed_s and decode_tokens must be at least 0 and finite")
        sizes = [rows for rows, _ in self.decode_s]
        if sizes != sorted(set(sizes)) or (sizes and sizes[0] < 1):
            raise ValueError("decode_s must be in ascending order of requests decoded at once, from 1 on")
        if not all(0 < token_s < math.inf for _, token_s in self.decode_s):
            raise ValueError("decode_s must hold times above 0")
        if self.decode_tokens and not self.decode_s:
            raise ValueError("decode_s must not be empty where tokens are decoded")
        if not (self.fixed_s or self.decode_tokens):
            raise ValueError("work must cost something")

    def hold_s(self, occupancy: float) -> float:
        """How long a slot is held while so many requests are decoded at once on its target (at least one)."""
        return self.fixed_s + (self.decode_tokens * token_s(self.decode_s, occupancy) if self.decode_tokens else 0.0)


def token_s(table: Table, occupancy: float) -> float:
    """Seconds for one token of each of `occupancy` requests decoded at once, from a table that is not empty.

    Between two entries by a straight line; never less than for fewer requests (a lower entry is noise); below the first
    entry as at it. Above the last, where nothing was measured, a step takes longer in proportion: batching
    gains nothing there, which is the safe side.
    """
    sizes = [rows for rows, _ in table]
    times = list(accumulate((each_s for _, each_s in table), max))
    if occupancy >= sizes[-1]:
        return times[-1] * occupancy / sizes[-1]
    above = next(index for index, rows in enumerate(sizes) if rows > occupancy)
    if above == 0:
        return times[0]
    part = (occupancy - sizes[above - 1]) / (sizes[above] - sizes[above - 1])
    return times[above - 1] + part * (times[above] - times[above - 1])


class BatchingLine(Struct, frozen=True, kw_only=True):
    """Arrivals at random before slots whose rate of completions depends on how many are busy.

    `completions_per_s[n-1]` is mu(n), as many entries as slots. `room` is how many may wait (None: any number).
    Raises ValueError for a rate of arrivals that is negative or not finite, completions that are none or not above 0,
    or a negative room.
    """

    arrivals_per_s: float
    completions_per_s: tuple[float, ...]
    room: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.arrivals_per_s < math.inf:
            raise ValueError("arrivals_per_s must be at least 0 and finite")
        if not self.completions_per_s or not all(0 < rate < math.inf for rate in self.completions_per_s):
            raise ValueError("completions_per_s must hold a rate above 0 for each slot")
        if self.room is not None and self.room < 0:
            raise ValueError("room must be at least 0, or None")

    @property
    def drain_per_s(self) -> float:
        """Requests a second that leave while all slots are busy."""
        return self.completions_per_s[-1]

    @property
    def utilisation(self) -> float:
        """Arrivals over what leaves when all slots are busy; with room for any number, 1 and more grows without end."""
        return self.arrivals_per_s / self.drain_per_s

    @property
    def grows_without_end(self) -> bool:
        """More comes than leaves, and all of it may wait."""
        return self.room is None and self.utilisation >= 1

    def lost_share(self) -> float:
        """The share of arrivals that find all slots busy and no room, 0 to 1."""
        if self.room is None:
            return 0.0
        below, beyond = self._weights(self.room)
        return beyond[-1] / (below + sum(beyond))

    def wait_share(self) -> float:
        """The share of those let in that have to wait, 0 to 1."""
        if self.grows_without_end:
            return 1.0
        if self.room is None:
            return 1 / (1 + self._below() * (1 - self.utilisation))
        return sum(self._places(self.room))

    def mean_wait_s(self) -> float:
        """The mean wait of those let in: whoever finds j waiting goes after j + 1 more completions."""
        if self.grows_without_end:
            return math.inf
        if self.room is None:
            return self.wait_share() / (self.drain_per_s - self.arrivals_per_s)
        return sum(share * (ahead + 1) for ahead, share in enumerate(self._places(self.room))) / self.drain_per_s

    def wait_tail(self, wait_s: float) -> float:
        """The share of those let in that wait longer than `wait_s`. Raises ValueError for a negative or infinite one.

        Whoever finds j waiting waits for a sum of j + 1 exponential times (Erlang's distribution).
        """
        if not 0 <= wait_s < math.inf:
            raise ValueError("wait_s must be at least 0 and finite")
        if self.room is None:
            return self.wait_share() * math.exp(-max(self.drain_per_s - self.arrivals_per_s, 0.0) * wait_s)
        gone = self.drain_per_s * wait_s
        fewer = accumulate(
            math.exp(-gone + done * math.log(gone) - math.lgamma(done + 1)) if gone else float(not done)
            for done in range(self.room)
        )
        return sum(share * min(tail, 1.0) for share, tail in zip(self._places(self.room), fewer, strict=True))

    def _places(self, room: int) -> list[float]:
        """For 0, 1, ... waiting already: the share of those let in that find so many, and wait behind them."""
        below, beyond = self._weights(room)
        let_in = below + sum(beyond[:-1])
        return [weight / let_in for weight in beyond[:-1]]

    def _weights(self, room: int) -> tuple[float, list[float]]:
        """How likely are a free slot, and all busy with 0, 1, ... waiting, against the likeliest of the latter."""
        ratio = self.utilisation
        likeliest = room if ratio > 1 else 0  # so that no power overflows
        return self._below() * ratio**-likeliest, [ratio ** (ahead - likeliest) for ahead in range(room + 1)]

    def _below(self) -> float:
        """How likely a free slot is against all busy and nobody waiting: Erlang B's recursion, turned round."""
        if not self.arrivals_per_s:
            return math.inf
        below = 0.0
        for rate in self.completions_per_s:
            below = (below + 1) * rate / self.arrivals_per_s
        return below
