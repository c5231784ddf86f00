"""The queue's metrics: what each end of a request counts as, and what of the queue's view is on the page."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.exchange import Exchange
from gateway.queue_metrics import QueueMetrics, promise_kept
from gateway.scheduling.decision_times import DecisionTimes
from gateway.scheduling.shared_queue import SharedState
from policies.admitting.effects import Forecast
from policies.call import Final, Text, Usage
from policies.queue_wish import QueueTerms
from setup.places import ROOT
from tests.fakes import FakeIncoming, ManualClock
from tests.unit.gateway.queue_views import WORKER, pool_view, queue_view, team_view

TERMS = QueueTerms(band="standard", promise_s=4.0, enforced=True, max_wait_s=60.0)
NONE_PROMISED = QueueTerms(band="batch", promise_s=None, enforced=True, max_wait_s=60.0)


class Metered:
    """The metrics, and a request for each story."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = QueueMetrics(self.registry)
        self.clock = ManualClock()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"corral_{name}", labels)

    def request(self, terms: QueueTerms = TERMS) -> Exchange:
        exchange = Exchange(FakeIncoming("POST", "/api/chat"), self.clock)
        self.clock.move(1.0)
        exchange.queued_on(terms, 1.0)
        return exchange

    def queued(self, wait_s: float, predicted_s: float, **terms: Any) -> Exchange:
        """One that waited and has its slot."""
        exchange = self.request(**terms)
        exchange.queue_answered(Forecast(wait_s=predicted_s), waits=True)
        self.clock.move(wait_s)
        exchange.dispatched("worker")
        return exchange

    def answer(self, exchange: Exchange, first_s: float, rest_s: float) -> None:
        self.clock.move(first_s)
        exchange.note(Text("a"))
        self.clock.move(rest_s)
        exchange.note(Final("stop", Usage()))

    def end(self, exchange: Exchange) -> None:
        self.metrics.finished(exchange, "lab")


@pytest.fixture
def metered() -> Metered:
    return Metered()


def test_a_request_that_waited_and_was_served_in_time(metered: Metered) -> None:
    exchange = metered.queued(wait_s=2.0, predicted_s=2.5)
    metered.answer(exchange, 1.0, 5.0)
    metered.clock.move(9.0)  # a caller that reads slowly holds no slot
    metered.end(exchange)
    assert metered.value("admission_total", team="lab", decision="queued", reason="") == 1
    assert metered.value("queue_wait_seconds_sum", team="lab", band="standard") == 2.0
    assert metered.value("predicted_wait_ratio_sum") == 0.8
    assert metered.value("slo_met_total", team="lab") == 1
    assert metered.value("slo_missed_total", team="lab") is None
    assert metered.value("service_slot_seconds_total", team="lab") == 6.0
    assert metered.value("wasted_slot_seconds_total") == 0


def test_a_first_token_that_came_too_late_is_work_wasted(metered: Metered) -> None:
    exchange = metered.queued(wait_s=4.0, predicted_s=1.0)
    metered.answer(exchange, 0.5, 2.0)
    metered.end(exchange)
    assert metered.value("slo_missed_total", team="lab") == 1
    assert metered.value("wasted_slot_seconds_total") == 2.5


def test_without_a_promise_none_is_kept_or_missed(metered: Metered) -> None:
    exchange = metered.request(NONE_PROMISED)
    exchange.queue_answered(Forecast(), waits=False)
    exchange.dispatched("worker")
    metered.answer(exchange, 50.0, 1.0)
    metered.end(exchange)
    assert metered.value("admission_total", team="lab", decision="admitted", reason="") == 1
    assert metered.value("slo_met_total", team="lab") is None
    assert metered.value("slo_missed_total", team="lab") is None
    assert metered.value("queue_wait_seconds_count", team="lab", band="batch") == 1
    assert metered.value("predicted_wait_ratio_count") == 0
    assert metered.value("wasted_slot_seconds_total") == 0


def test_an_answer_cut_short_is_work_wasted(metered: Metered) -> None:
    exchange = metered.queued(wait_s=1.0, predicted_s=1.0)
    metered.clock.move(0.5)
    exchange.note(Text("a"))
    metered.clock.move(1.0)
    metered.end(exchange)
    assert metered.value("service_slot_seconds_total", team="lab") == 1.5
    assert metered.value("wasted_slot_seconds_total") == 1.5


def test_a_promise_that_only_reports_is_seen(metered: Metered) -> None:
    exchange = metered.request()
    exchange.queue_answered(Forecast(would_refuse=True), waits=True)
    exchange.dispatched("worker")
    metered.end(exchange)
    assert metered.value("admission_total", team="lab", decision="queued", reason="deadline_unreachable") == 1


def left_the_queue(_exchange: Exchange) -> None:
    """The caller went."""


def refused(exchange: Exchange) -> None:
    exchange.turned_away("expired_in_queue")


@pytest.mark.parametrize(
    ("waits", "end", "decision", "reason", "late"),
    [
        (True, left_the_queue, "queued", "caller_gone", None),
        (True, refused, "refused_late", "expired_in_queue", 1),
        (False, refused, "refused", "expired_in_queue", None),
    ],
)
def test_those_without_a_slot(
    metered: Metered, waits: bool, end: Callable[[Exchange], None], decision: str, reason: str, late: int | None
) -> None:
    exchange = metered.request()
    exchange.queue_answered(Forecast(wait_s=9.0), waits=waits)
    end(exchange)
    metered.end(exchange)
    assert metered.value("admission_total", team="lab", decision=decision, reason=reason) == 1
    assert metered.value("late_reject_total", team="lab") == late
    assert metered.value("service_slot_seconds_total", team="lab") is None
    assert metered.value("queue_wait_seconds_count", team="lab", band="standard") is None


def test_a_request_that_never_came_to_the_queue_counts_nowhere(metered: Metered) -> None:
    metered.end(Exchange(FakeIncoming("GET", "/api/tags"), metered.clock))
    assert not [sample for family in metered.registry.collect() for sample in family.samples if "team" in sample.labels]


def test_a_slot_that_was_taken_is_counted_from_the_next(metered: Metered) -> None:
    exchange = metered.queued(wait_s=1.0, predicted_s=1.0)
    exchange.back_in_queue()
    assert exchange.waits_for_slot()
    metered.clock.move(1.0)
    exchange.dispatched("worker")
    assert not exchange.waits_for_slot()
    metered.answer(exchange, 0.5, 0.5)
    metered.end(exchange)
    assert metered.value("queue_wait_seconds_sum", team="lab", band="standard") == 2.0
    assert metered.value("service_slot_seconds_total", team="lab") == 1.0


@pytest.mark.parametrize(("passed_s", "kept"), [(0.5, None), (4.0, False)])
def test_before_the_first_token_only_a_broken_promise_is_known(
    metered: Metered, passed_s: float, kept: bool | None
) -> None:
    exchange = metered.queued(wait_s=1.0, predicted_s=1.0)
    metered.clock.move(passed_s)
    assert promise_kept(exchange) is kept


def test_the_view_is_on_the_page_and_what_it_no_longer_has_leaves(metered: Metered) -> None:
    waited = team_view("flood", counter=31.0, coverage=0.7, predicted_ratio=0.9)
    chat, embedding = pool_view("m"), pool_view("m", kind="embedding", prefill_s_per_token=0.5, samples=2)
    view = queue_view(teams=(waited, team_view("light")), pools=(chat, embedding), targets=(WORKER,), bookings=3)
    times = DecisionTimes()
    times.counts[0], times.counts[2], times.counts[-1], times.total_s = 5, 2, 1, 0.125
    metered.metrics.show(view, [("flood", "m"), ("flood", "m"), ("light", "m")], times)
    assert metered.value("virtual_lag", team="flood") == 31.0
    assert metered.value("wait_quantile_coverage", team="flood") == 0.7
    assert metered.value("wait_quantile_coverage", team="light") is None
    assert metered.value("decode_seconds_per_token", target="worker", occupancy="4") == 0.025
    assert metered.value("prefill_seconds_per_token", model="m") == 0.00077
    assert metered.value("bookings") == 3
    assert metered.value("queue_depth", team="flood", model="m") == 2
    assert metered.value("decision_seconds_bucket", le="2e-05") == 5
    assert metered.value("decision_seconds_bucket", le="0.0001") == 7
    assert metered.value("decision_seconds_bucket", le="0.005") == 7
    assert metered.value("decision_seconds_bucket", le="+Inf") == 8
    assert metered.value("decision_seconds_count") == 8
    assert metered.value("decision_seconds_sum") == 0.125
    metered.metrics.show(queue_view(), [], times)
    for name, labels in (("virtual_lag", {"team": "flood"}), ("queue_depth", {"team": "flood", "model": "m"})):
        assert metered.value(name, **labels) is None
    assert metered.value("decode_seconds_per_token", target="worker", occupancy="4") is None
    assert metered.value("prefill_seconds_per_token", model="m") is None


def test_the_page_for_operators_has_every_metric(metered: Metered) -> None:
    page = (ROOT / "docs" / "queue-operations.md").read_text()
    kinds = {"counter": "_total"}
    names = [family.name + kinds.get(family.type, "") for family in metered.registry.collect()]
    assert len(names) == 16
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("role", "leader", "degraded"), [("deciding", 1, 0), ("following", 0, 0), ("alone", 0, 1), ("waiting", 0, 1)]
)
def test_a_shared_queue_says_who_decides(metered: Metered, role: Any, leader: int, degraded: int) -> None:
    assert metered.value("scheduler", figure="epoch") is None
    state = SharedState(role=role, epoch=7, gateways=2, foreign=1, strays=0, talks=1, reason="")
    metered.metrics.share(state)
    assert metered.value("scheduler", figure="epoch") == 7
    assert metered.value("scheduler", figure="leader") == leader
    assert metered.value("scheduler", figure="degraded") == degraded
    assert metered.value("scheduler", figure="gateways") == 2
    assert metered.value("scheduler", figure="foreign_letters") == 1
