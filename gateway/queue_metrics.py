"""The queue's metrics. Labels are names of ours: teams and bands of the policy, models of the catalogue, targets.

What is counted is of this gateway's own requests, so sums over several gateways are right. What is set from the view of
the queue is the same at every gateway that shares one: take the maximum there.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.exchange import PROMISE, Exchange
from gateway.scheduling.decision_times import EDGES_S, DecisionTimes
from gateway.scheduling.shared_queue import SharedState
from policies.admitting.queue_view import PoolView, QueueView, TargetView, TeamView

WAITS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
RATIOS = (0.1, 0.25, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10)


class QueueMetrics:
    """All that is said of the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._of_requests = _RequestMetrics(registry)
        self._of_view = _ViewMetrics(registry)
        self._of_sharing = _SharingMetrics(registry)
        self._decisions = _Decisions()
        registry.register(self._decisions)

    def finished(self, exchange: Exchange, team: str) -> None:
        """One request is over; says nothing of one that never asked the queue. `team` is the label."""
        if exchange.admission is not None:
            self._of_requests.finished(exchange, team)

    def show(self, view: QueueView, waiting: Iterable[tuple[str, str]], decisions: DecisionTimes) -> None:
        """The queue as of now; `waiting` are team and model of each of this gateway's requests that wait."""
        self._of_view.show(view)
        self._of_requests.show_depth(waiting)
        self._decisions.times = decisions

    def share(self, state: SharedState) -> None:
        """How it stands with the queue that several gateways share."""
        self._of_sharing.show(state)


def promise_kept(exchange: Exchange) -> bool | None:
    """Whether the first token of a request that had a slot came in time; None where that cannot be said.

    A caller who leaves before the promised moment leaves it open.
    """
    promise_s = exchange.terms.promise_s if exchange.terms is not None else None
    if promise_s is None or not exchange.target:
        return None
    if (exchange.first_event_ns or exchange.elapsed_ns()) / 1e9 > promise_s:
        return False
    return True if exchange.first_event_ns else None


class _RequestMetrics:
    """What is counted as requests end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._wait = Histogram(
            "corral_queue_wait_seconds",
            "From the queue's being asked to a slot",
            ("team", "band"),
            buckets=WAITS_S,
            registry=registry,
        )
        self._depth = Gauge(
            "corral_queue_depth", "This gateway's requests that wait for a slot", ("team", "model"), registry=registry
        )
        self._ratio = Histogram(
            "corral_predicted_wait_ratio",
            "Waits of the served over the waits predicted for them",
            buckets=RATIOS,
            registry=registry,
        )
        self._decided = Counter(
            "corral_admission",
            "The queue's decisions; a reason beside a slot is a promise that only reports",
            ("team", "decision", "reason"),
            registry=registry,
        )
        self._late = Counter("corral_late_reject", "Refusals of requests that had waited", ("team",), registry=registry)
        self._met = Counter("corral_slo_met", "First tokens within the promise", ("team",), registry=registry)
        self._missed = Counter(
            "corral_slo_missed", "First tokens of requests with a slot after the promise", ("team",), registry=registry
        )
        self._slot_s = Counter(
            "corral_service_slot_seconds", "Slot time of requests that are over", ("team",), registry=registry
        )
        self._wasted_s = Counter(
            "corral_wasted_slot_seconds", "Slot time for late first tokens and for answers cut short", registry=registry
        )

    def finished(self, exchange: Exchange, team: str) -> None:
        """One that asked the queue."""
        self._decided.labels(team, exchange.admission, _reason(exchange)).inc()
        if exchange.admission == "refused_late":
            self._late.labels(team).inc()
        if exchange.target:
            self._served(exchange, team)

    def show_depth(self, waiting: Iterable[tuple[str, str]]) -> None:
        """Who waits; nobody stays on the page who does not."""
        self._depth.clear()
        for (team, model), count in Tally(waiting).items():
            self._depth.labels(team, model).set(count)

    def _served(self, exchange: Exchange, team: str) -> None:
        waited_s, kept, held_s = (exchange.queued_ns or 0) / 1e9, promise_kept(exchange), exchange.slot_s()
        self._wait.labels(team, exchange.terms.band if exchange.terms is not None else "").observe(waited_s)
        if exchange.forecast is not None and exchange.forecast.wait_s > 0:
            self._ratio.observe(waited_s / exchange.forecast.wait_s)
        if kept is not None:
            (self._met if kept else self._missed).labels(team).inc()
        self._slot_s.labels(team).inc(held_s)
        if kept is False or not exchange.finish:
            self._wasted_s.inc(held_s)


class _ViewMetrics:
    """What the queue knows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(name, about, labels, registry=registry)

        self._coverage = gauge(
            "corral_wait_quantile_coverage", "Share of a team's waits within the judged quantile", ("team",)
        )
        self._lag = gauge(
            "corral_virtual_lag", "A team's counter over the least, in slot-seconds over weight", ("team",)
        )
        self._decode = gauge("corral_decode_seconds_per_token", "For each of so many at once", ("target", "occupancy"))
        self._prefill = gauge(
            "corral_prefill_seconds_per_token", "Slot-seconds for an uncached token of a prompt", ("model",)
        )
        self._bookings = gauge("corral_bookings", "Refused callers with a time to come back at")

    def show(self, view: QueueView) -> None:
        """As of now; what the queue no longer knows leaves the page."""
        self._bookings.set(view.bookings)
        self._show_teams(view.teams)
        self._show_rates(view.targets, view.pools)

    def _show_teams(self, teams: Iterable[TeamView]) -> None:
        self._coverage.clear()
        self._lag.clear()
        for team in teams:
            self._lag.labels(team.name).set(team.counter)
            if team.predicted_ratio > 0:  # without a wait there is nothing to cover
                self._coverage.labels(team.name).set(team.coverage)

    def _show_rates(self, targets: Iterable[TargetView], pools: Iterable[PoolView]) -> None:
        self._decode.clear()
        self._prefill.clear()
        for target in targets:
            for occupancy, seconds in target.decode_s:
                self._decode.labels(target.id, str(occupancy)).set(seconds)
        for pool in sorted(pools, key=lambda each: each.samples):  # of a model's kinds, the one best known
            self._prefill.labels(pool.model).set(pool.prefill_s_per_token)


class _SharingMetrics:
    """Of several gateways' one queue: on the page once there is one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._figures = Gauge(
            "corral_scheduler",
            "The shared queue: epoch, 1 when this gateway leads it or decides alone for want of it, gateways",
            ("figure",),
            registry=registry,
        )

    def show(self, state: SharedState) -> None:
        """Its state as this gateway sees it."""
        figures = {
            "epoch": state.epoch,
            "leader": int(state.role == "deciding"),
            "degraded": int(state.role in ("alone", "waiting")),
            "gateways": state.gateways,
            "foreign_letters": state.foreign,
        }
        for figure, value in figures.items():
            self._figures.labels(figure).set(value)


class _Decisions(Collector):
    """The times that the queue's decisions took, as they were counted."""

    def __init__(self) -> None:
        self.times = DecisionTimes()

    def collect(self) -> Iterator[Metric]:
        """The counts, each with all below it, as Prometheus has them."""
        edges = [*map(str, EDGES_S), "+Inf"]
        buckets = list(zip(edges, map(float, accumulate(self.times.counts)), strict=True))
        about = "Time of a decision of the queue"
        yield HistogramMetricFamily("corral_decision_seconds", about, buckets=buckets, sum_value=self.times.total_s)


def _reason(exchange: Exchange) -> str:
    """Why a request was refused; `caller_gone` for one that left the queue; a promise that would have refused it."""
    if exchange.turned_away_for:
        return exchange.turned_away_for
    if not exchange.target:
        return "caller_gone"
    return PROMISE if exchange.forecast is not None and exchange.forecast.would_refuse else ""
