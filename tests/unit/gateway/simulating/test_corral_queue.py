"""The queue that serves, under simulation: it is told all, and what it decides happens."""

from random import Random

from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import SDK_RULES, ClientRules
from gateway.simulating.corral_queue import CorralQueue
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.outcome import Outcome
from gateway.simulating.simulator import Simulation
from policies.admission import Queue
from policies.admitting.effects import Effect
from policies.admitting.events import QueueEvent
from policies.admitting.ticket import BandTerms, Bounds
from policies.admitting.tuning import Tuning

MODEL = EngineModel(workers=2, slots=2)


class Recording(Queue):
    """Keeps what it was told."""

    def __init__(self, *, tuning: Tuning | None = None) -> None:
        super().__init__(tuning=tuning)
        self.told: list[tuple[str, float]] = []

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]:
        self.told.append((type(event).__name__, now_s))
        return super().handle(event, now_s)

    def names(self) -> set[str]:
        return {name for name, _ in self.told}


def traffic(count: int, rate_per_s: float, *, promise_s: float | None = 5.0) -> list[Arrival]:
    chance, at_s, rows = Random(3), 0.0, []
    for _ in range(count):
        at_s += chance.expovariate(rate_per_s)
        tokens = chance.randrange(20, 400)
        rows.append(Arrival(at_s=at_s, team="a", prompt_tokens=600, output_tokens=tokens, promise_s=promise_s))
    return rows


def run(policy: CorralQueue, rows: list[Arrival], rules: ClientRules | None = None) -> tuple[Outcome, ...]:
    return Simulation(policy, MODEL, rules=rules, chance=Random(1)).run(rows)


def test_it_is_told_all_that_a_dispatcher_tells() -> None:
    queue = Recording()
    run(CorralQueue(queue), traffic(100, 1.0))
    assert queue.names() == {"TargetReady", "Arrived", "Grew", "Began", "Ended", "Tick"}
    assert [name for name, _ in queue.told[:2]] == ["TargetReady", "TargetReady"]
    assert (queue.waiting(), sum(target.running for target in queue.targets())) == (0, 0)


def test_growth_is_told_before_an_arrival() -> None:
    queue = Recording()
    rows = [Arrival(at_s=at_s, team="a", prompt_tokens=0, output_tokens=900) for at_s in (0.0, 5.0, 9.0)]
    run(CorralQueue(queue), rows)
    around = [name for name, at_s in queue.told if at_s == 9.0]
    assert around[:3] == ["Grew", "Grew", "Arrived"]


def test_refused_callers_come_back_when_told_and_are_known_again() -> None:
    outcomes = run(CorralQueue(), traffic(300, 1.0), SDK_RULES)
    booked = [one for one in outcomes if one.booked]
    assert len(booked) > 20
    assert sum(one.end == "served" for one in booked) > 0.7 * len(booked)


def test_without_bookings_nobody_is_told_a_time_and_clients_back_off() -> None:
    outcomes = run(CorralQueue(books=False), traffic(300, 1.0), SDK_RULES)
    assert not any(one.booked or one.retry_after_s for one in outcomes)
    assert any(one.attempt == 2 for one in outcomes)


def test_those_who_wait_are_told_what_to_expect() -> None:
    outcomes = run(CorralQueue(), traffic(200, 0.6))
    waited = [one for one in outcomes if one.forecast is not None and one.end == "served"]
    assert waited
    assert all(one.forecast is not None and one.forecast.position >= 1 for one in waited)


def test_impatient_callers_are_reported() -> None:
    queue = Recording()
    outcomes = run(CorralQueue(queue), traffic(100, 3.0, promise_s=None), ClientRules(patience_s=4.0))
    assert any(one.end == "left" for one in outcomes)
    assert "Left" in queue.names()
    assert queue.waiting() == 0


def test_bounds_bands_and_tuning_are_the_callers() -> None:
    queue = Recording(tuning=Tuning(refuses_early=False))
    policy = CorralQueue(queue, bands=(BandTerms("low", 0.5),), bounds=Bounds(total=1, team=1), prompt_error=2.0)
    outcomes = run(policy, traffic(60, 3.0))
    assert "BandsChanged" in queue.names()
    assert any(one.end == "refused" for one in outcomes)


def test_the_same_traffic_has_the_same_outcomes() -> None:
    assert run(CorralQueue(), traffic(150, 1.0), SDK_RULES) == run(CorralQueue(), traffic(150, 1.0), SDK_RULES)
