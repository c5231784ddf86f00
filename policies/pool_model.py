"""From what was measured of a pool to a model of it: how long requests would wait at another load, on other slots.

Two models with one mathematics (`policies.batching_model`), side by side where both can be had:

* full: every slot is always as slow as when all are busy. That is Erlang C (M/M/c); it errs on the safe side.
* batching: a slot is the slower the more others decode with it, by the measured table. It needs that table.

Both take requests as one line, first come, first served: a team's weight moves waits from one team to another, not
their sum. Pools that share slots are one line as well: theirs are mixed with ours, at their present rate.
"""

import math
from typing import Literal

from msgspec import Struct, structs

from policies.admitting.queue_view import PoolView, QueueView, TargetView
from policies.batching_model import BatchingLine, Table, Work
from policies.queueing import Line, erlang_c, kimura_mean_wait_s, mmc_mean_wait_s, wait_probability

ModelName = Literal["full", "batching"]


class Flow(Struct, frozen=True, kw_only=True):
    """One pool's requests: how often they come, and what a mean one costs its slot."""

    arrivals_per_s: float
    arrival_cv2: float
    work: Work
    service_cv2: float


class Waits(Struct, frozen=True, kw_only=True):
    """What the model says of one load. `mean_s` and the tail err on the high side; `likely_s` is the better guess.

    `share` of all requests wait, those on average `mean_of_waiting_s`. Times are infinite, and utilisation at least 1,
    where the line grows without end.
    """

    utilisation: float
    share: float
    mean_of_waiting_s: float
    likely_s: float

    @property
    def mean_s(self) -> float:
        """The mean wait of all requests, an upper bound for heavy tails."""
        return self.share * self.mean_of_waiting_s if self.share else 0.0

    def tail(self, wait_s: float) -> float:
        """The share that waits longer: the wait of those who wait is exponential, as in M/M/c and heavy traffic."""
        return self.share * math.exp(-wait_s / self.mean_of_waiting_s)

    def quantile_s(self, quantile: float) -> float:
        """The wait that this share of requests does not exceed."""
        if self.share <= 1 - quantile:
            return 0.0
        return math.log(self.share / (1 - quantile)) * self.mean_of_waiting_s


class PoolModel(Struct, frozen=True, kw_only=True):
    """`own` requests and those of `others` before the same slots, `slots_per_target` of them decoding together."""

    name: ModelName
    own: Flow
    others: tuple[Flow, ...]
    slots: int
    slots_per_target: float

    def waits(self, arrivals_per_s: float, slots: int) -> Waits:
        """The waits when own requests come at this rate, on so many slots like these (further replicas)."""
        flows = (structs.replace(self.own, arrivals_per_s=arrivals_per_s), *self.others)
        line = self._line(flows, slots)
        batching = BatchingLine(
            arrivals_per_s=line.arrivals_per_s,
            completions_per_s=tuple(
                n / _mixed_hold_s(flows, max(self.slots_per_target * n / slots, 1.0)) for n in range(1, slots + 1)
            ),
        )
        if batching.grows_without_end:
            return Waits(utilisation=line.utilisation, share=1.0, mean_of_waiting_s=math.inf, likely_s=math.inf)
        share = _with_bursts(batching.wait_share(), line)
        spare_per_s = batching.drain_per_s - line.arrivals_per_s
        return _waits(line, share, spare_per_s)

    def saturation_per_s(self) -> float:
        """The rate of own requests from which the line grows without end; 0 when others fill the slots alone."""
        theirs = sum(flow.arrivals_per_s * flow.work.hold_s(self.slots_per_target) for flow in self.others)
        return max(self.slots - theirs, 0.0) / self.own.work.hold_s(self.slots_per_target)

    def load_erlangs(self, arrivals_per_s: float) -> float:
        """The mean number of slots needed if nobody had to wait, others' included."""
        flows = (structs.replace(self.own, arrivals_per_s=arrivals_per_s), *self.others)
        return sum(flow.arrivals_per_s * flow.work.hold_s(self.slots_per_target) for flow in flows)

    def slower(self, factor: float) -> "PoolModel":
        """The same with every own request holding its slot `factor` times as long."""
        return structs.replace(self, own=structs.replace(self.own, work=scaled(self.own.work, factor)))

    def _line(self, flows: tuple[Flow, ...], slots: int) -> Line:
        """All flows as one, at full occupancy: moments of a mixture; variations of arrivals weighted by rate.

        The latter is the asymptotic method of W. Whitt, "The queueing network analyzer", Bell System Technical
        Journal 62(9), 1983, section 4.3. Arrivals smoother than random are taken as random: users do not queue up by
        appointment.
        """
        whole = sum(flow.arrivals_per_s for flow in flows)
        shares = [flow.arrivals_per_s / whole if whole else float(flow is flows[0]) for flow in flows]
        holds = [flow.work.hold_s(self.slots_per_target) for flow in flows]
        mean_s = sum(share * hold_s for share, hold_s in zip(shares, holds, strict=True))
        squares = sum(
            share * hold_s**2 * (1 + flow.service_cv2) for share, hold_s, flow in zip(shares, holds, flows, strict=True)
        )
        return Line(
            servers=slots,
            arrivals_per_s=whole,
            service_s=mean_s,
            arrival_cv2=max(sum(share * flow.arrival_cv2 for share, flow in zip(shares, flows, strict=True)), 1.0),
            service_cv2=max(squares / mean_s**2 - 1, 0.0),
        )


def models_of(pool: PoolView, view: QueueView) -> tuple[PoolModel, ...]:
    """The models of this pool, `full` first; `batching` only where the table of its targets is known.

    The pool's own service time must have been measured (above 0), and a target be ready.
    """
    table, occupancy = table_of(pool, view), _occupancy(pool, view)
    pools = (pool, *(each for each in sharing_slots(pool, view) if each.service_s > 0))
    per_target = _slots_per_target(pool, view)

    def model(name: ModelName, works: list[Work]) -> PoolModel:
        own, *others = (_flow(each, work) for each, work in zip(pools, works, strict=True))
        return PoolModel(name=name, own=own, others=tuple(others), slots=pool.slots, slots_per_target=per_target)

    if not table:
        return (model("full", [_full_work(each, None, per_target) for each in pools]),)
    works = [batching_work(each, table, occupancy) for each in pools]
    full = [_full_work(each, work, per_target) for each, work in zip(pools, works, strict=True)]
    return (model("full", full), model("batching", works))


def explained_share(pool: PoolView, view: QueueView) -> float:
    """How much of the measured time of a slot prefill and decode make up at the present occupancy, 0 and more.

    1 where there are no such parts to judge by. The table of the pool's targets must be known.
    """
    parts = _parts(pool, table_of(pool, view))
    return parts.hold_s(_occupancy(pool, view)) / pool.service_s if parts else 1.0


def targets_of(pool: PoolView, view: QueueView) -> tuple[TargetView, ...]:
    """The ready targets of this pool."""
    return tuple(each for each in view.targets if each.ready and each.id in pool.targets)


def sharing_slots(pool: PoolView, view: QueueView) -> tuple[PoolView, ...]:
    """Other pools on some of the same slots."""
    return tuple(each for each in view.pools if each != pool and set(each.targets) & set(pool.targets))


def table_of(pool: PoolView, view: QueueView) -> Table:
    """One table of all the pool's targets: for each number at once the mean of those that have measured it."""
    found: dict[int, list[float]] = {}
    for target in targets_of(pool, view):
        for rows, token_s in target.decode_s:
            found.setdefault(rows, []).append(token_s)
    return tuple((rows, sum(times) / len(times)) for rows, times in sorted(found.items()))


def batching_work(pool: PoolView, table: Table, occupancy: float) -> Work:
    """The parts of a request, scaled so that at the present occupancy they make up the measured time of a slot."""
    parts = _parts(pool, table)
    return scaled(parts, pool.service_s / parts.hold_s(occupancy)) if parts else Work(fixed_s=pool.service_s)


def scaled(work: Work, factor: float) -> Work:
    """The same work, `factor` times as long."""
    table = tuple((rows, token_s * factor) for rows, token_s in work.decode_s)
    return Work(fixed_s=work.fixed_s * factor, decode_tokens=work.decode_tokens, decode_s=table)


def _parts(pool: PoolView, table: Table) -> Work | None:
    """A mean request by its tokens; None when it is measured to cost nothing (an upstream that reports none)."""
    fixed_s = pool.prompt_tokens * pool.prefill_s_per_token
    if not (fixed_s or pool.output_tokens):
        return None
    return Work(fixed_s=fixed_s, decode_tokens=pool.output_tokens, decode_s=table)


def _full_work(pool: PoolView, batching: Work | None, per_target: float) -> Work:
    """The longest that any measurement speaks for: as now, by its parts when full, by the table at full occupancy."""
    parts_s = pool.prompt_tokens * pool.prefill_s_per_token + pool.output_tokens * pool.decode_s_per_token
    return Work(fixed_s=max(pool.service_s, parts_s, batching.hold_s(per_target) if batching else 0.0))


def _flow(pool: PoolView, work: Work) -> Flow:
    return Flow(
        arrivals_per_s=pool.arrivals_per_s, arrival_cv2=pool.arrival_cv2, work=work, service_cv2=pool.service_cv2
    )


def _slots_per_target(pool: PoolView, view: QueueView) -> float:
    return pool.slots / max(len(targets_of(pool, view)), 1)


def _occupancy(pool: PoolView, view: QueueView) -> float:
    """How many run at once on one target now, in the mean (J. D. C. Little's law), at least 1."""
    busy = sum(each.arrivals_per_s * each.service_s for each in (pool, *sharing_slots(pool, view)))
    return max(min(busy / pool.slots, 1.0) * _slots_per_target(pool, view), 1.0)


def _mixed_hold_s(flows: tuple[Flow, ...], occupancy: float) -> float:
    whole = sum(flow.arrivals_per_s for flow in flows)
    if not whole:
        return flows[0].work.hold_s(occupancy)
    return sum(flow.arrivals_per_s / whole * flow.work.hold_s(occupancy) for flow in flows)


def _with_bursts(share: float, line: Line) -> float:
    """P(wait) with the line's bursts, from what it is for random arrivals: as in the Erlang C line where as many wait.

    That line's load is found by bisection; with slots of one speed it is the line itself.
    """
    if line.arrival_cv2 <= 1:
        return share
    low, high = 0.0, float(line.servers)
    while high - low > line.servers * 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if erlang_c(line.servers, middle) < share else (low, middle)
    return wait_probability(structs.replace(line, arrivals_per_s=high / line.service_s))


def _waits(line: Line, share: float, spare_per_s: float) -> Waits:
    """Waits from how many wait, by Allen and Cunneen's factor, or Kimura's where that is higher (smooth service)."""
    exponential_s = mmc_mean_wait_s(line)
    kimura = kimura_mean_wait_s(line) / exponential_s if exponential_s else (1 + line.service_cv2) / 2
    burst = (line.arrival_cv2 - 1) / 2
    factor = max(kimura, (1 + line.service_cv2) / 2) + burst
    return Waits(
        utilisation=line.utilisation,
        share=share,
        mean_of_waiting_s=factor / spare_per_s,
        likely_s=share * (kimura + burst) / spare_per_s,
    )
