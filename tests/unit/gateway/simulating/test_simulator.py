"""The simulation: its sample path in the special case that ten lines can compute, and what it conserves."""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heapreplace
from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import SDK_RULES, ClientRules
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.outcome import Outcome
from gateway.simulating.scheduling_policy import Act, Asked, Keep, SimulatedPool, Start, TurnAway
from gateway.simulating.simulator import Simulation, Slowing
from policies.admitting.effects import Forecast

FOREVER = ClientRules(patience_s=inf)


class Line:
    """First come, first served, at most `limit` waiting; refusals tell `told_s`."""

    tick_s: float | None = None

    def __init__(self, limit: int = 10**9, told_s: float | None = None, *, may_retry: bool = True) -> None:
        self.queue: deque[Asked] = deque()
        self.limit, self.told_s, self.may_retry = limit, told_s, may_retry
        self.ticks: list[float] = []
        self.began_s: list[float] = []

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        self.pool = pool

    def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
        if len(self.queue) >= self.limit and not self.pool.free_slots():
            yield TurnAway(asked, self.told_s, self.may_retry)
            return
        self.queue.append(asked)
        yield from self.fill()
        if asked in self.queue:
            yield Keep(asked, Forecast(wait_s=1.0))

    def began(self, asked: Asked, now_s: float) -> Iterable[Act]:
        self.began_s.append(now_s)
        return []

    def ended(self, asked: Asked, now_s: float) -> Iterable[Act]:
        return self.fill()

    def left(self, asked: Asked, now_s: float) -> Iterable[Act]:
        if asked in self.queue:
            self.queue.remove(asked)
        return self.fill()

    def tick(self, now_s: float) -> Iterable[Act]:
        self.ticks.append(now_s)
        return []

    def fill(self) -> Iterator[Act]:
        while self.queue and self.pool.free_slots():
            yield Start(self.queue.popleft())


def arrival(at_s: float, output_tokens: int = 10, *, prompt_tokens: int = 0, cached_tokens: int = 0) -> Arrival:
    return Arrival(
        at_s=at_s, team="a", prompt_tokens=prompt_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens
    )


def servers(count: int, slots: int = 1) -> EngineModel:
    """One token a tenth of a second, at any occupancy."""
    return EngineModel(workers=count, slots=slots, decode_s=(0.0, *[0.1] * slots), prefill_tokens_per_s=100.0)


def mgc(arrivals: list[tuple[float, float]], count: int) -> list[float]:
    """The departures of an M/G/c queue, by the recursion of Kiefer and Wolfowitz (1955) on a heap."""
    free_s = [0.0] * count
    heapify(free_s)
    departures = []
    for at_s, service_s in arrivals:
        departures.append(max(at_s, free_s[0]) + service_s)
        heapreplace(free_s, departures[-1])
    return departures


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 8),
    load=st.floats(0.3, 1.5),
    services=st.sampled_from(["exponential", "pareto", "constant"]),
)
def test_its_sample_path_is_that_of_an_mgc_queue(seed: int, count: int, load: float, services: str) -> None:
    chance, at_s, rows = Random(seed), 0.0, []
    draw = {
        "exponential": lambda: chance.expovariate(1.0),
        "pareto": lambda: chance.paretovariate(1.5),
        "constant": lambda: 1.0,
    }
    for _ in range(300):
        at_s += chance.expovariate(load * count)
        rows.append((at_s, max(1, round(draw[services]() * 1e6))))
    model = EngineModel(workers=count, slots=1, decode_s=(0.0, 1e-6))
    arrivals = [
        Arrival(at_s=at_s, team="a", prompt_tokens=0, output_tokens=size, output_cap=10**12) for at_s, size in rows
    ]
    outcomes = Simulation(Line(), model, rules=FOREVER).run(arrivals)
    ended = {one.number: one.ended_s for one in outcomes}
    expected = mgc([(at_s, size * 1e-6) for at_s, size in rows], count)
    assert [ended[number] for number in range(len(rows))] == pytest.approx(expected, rel=0, abs=1e-9)


def test_one_slot_with_a_prompt_is_exact_too() -> None:
    outcome = Simulation(Line(), servers(1)).run([arrival(1.0, 20, prompt_tokens=150, cached_tokens=50)])[0]
    assert (outcome.started_s, outcome.first_s, outcome.ended_s) == (1.0, 2.0, pytest.approx(4.0))
    assert (outcome.end, outcome.prompt_tokens, outcome.output_tokens, outcome.final) == ("served", 100, 20, True)


def test_the_answer_is_cut_at_its_cap() -> None:
    capped = Arrival(at_s=0.0, team="a", prompt_tokens=0, output_tokens=500, output_cap=5)
    assert Simulation(Line(), servers(1)).run([capped])[0].ended_s == pytest.approx(0.5)


def test_a_prompt_that_is_all_cached_begins_at_once() -> None:
    line = Line()
    outcome = Simulation(line, servers(1)).run([arrival(3.0, prompt_tokens=64, cached_tokens=64)])[0]
    assert outcome.first_s == 3.0
    assert line.began_s == [3.0]


def test_what_was_told_to_one_that_waits_is_in_its_outcome() -> None:
    first, second = Simulation(Line(), servers(1)).run([arrival(0.0), arrival(0.5)])
    assert (first.forecast, second.forecast) == (None, Forecast(wait_s=1.0))
    assert (second.started_s, second.ended_s) == (pytest.approx(1.0), pytest.approx(2.0))


def test_impatient_callers_leave_the_queue() -> None:
    outcomes = Simulation(Line(), servers(1), rules=ClientRules(patience_s=0.4)).run([arrival(0.0), arrival(0.1)])
    assert [(one.number, one.end, one.ended_s) for one in outcomes] == [
        (1, "left", 0.5),
        (0, "served", pytest.approx(1.0)),
    ]
    assert outcomes[0].started_s is None


def test_one_that_leaves_while_its_prompt_is_read_frees_its_slot_and_its_work_counts() -> None:
    rules = ClientRules(patience_s=1.0)
    outcomes = Simulation(Line(), servers(1), rules=rules).run([arrival(0.0, prompt_tokens=500), arrival(0.5)])
    assert [(one.number, one.end) for one in outcomes] == [(0, "left"), (1, "served")]
    assert outcomes[0].prompt_tokens == pytest.approx(100)
    assert outcomes[1].started_s == 1.0


def test_one_that_answers_is_waited_for() -> None:
    assert Simulation(Line(), servers(1), rules=ClientRules(patience_s=0.2)).run([arrival(0.0, 100)])[0].end == "served"


def test_a_told_time_is_kept_and_marked() -> None:
    simulation = Simulation(Line(limit=0, told_s=3.0), servers(1), rules=SDK_RULES, chance=Random(1))
    outcomes = simulation.run([arrival(0.0, 20), arrival(0.5)])
    tries = [(one.attempt, one.asked_s, one.booked, one.end, one.final) for one in outcomes if one.number == 1]
    assert tries == [(0, 0.5, False, "refused", False), (1, 3.5, True, "served", True)]
    assert outcomes[0].retry_after_s == 3.0


def test_a_client_gives_up_after_two_retries() -> None:
    simulation = Simulation(Line(limit=0), servers(1), rules=SDK_RULES, chance=Random(1))
    outcomes = [one for one in simulation.run([arrival(0.0, 1000), arrival(0.5)]) if one.number == 1]
    assert [(one.attempt, one.booked, one.final) for one in outcomes] == [
        (0, False, False),
        (1, False, False),
        (2, False, True),
    ]
    gaps = [later.asked_s - earlier.asked_s for earlier, later in pairwise(outcomes)]
    assert 0.375 <= gaps[0] <= 0.5
    assert 0.75 <= gaps[1] <= 1.0


def test_told_that_no_retry_helps_a_client_stays_away() -> None:
    line = Line(limit=0, told_s=1.0, may_retry=False)
    outcomes = Simulation(line, servers(1), rules=SDK_RULES, chance=Random(1)).run([arrival(0.0, 1000), arrival(0.5)])
    assert [(one.attempt, one.final) for one in outcomes if one.number == 1] == [(0, True)]


def test_a_refusal_after_waiting_is_late() -> None:
    class Late(Line):
        def ended(self, asked: Asked, now_s: float) -> Iterable[Act]:
            return [TurnAway(self.queue.popleft())] if self.queue else []

    outcomes = Simulation(Late(), servers(1)).run([arrival(0.0), arrival(0.5)])
    assert [(one.number, one.end, one.ended_s) for one in outcomes][1] == (1, "refused_late", pytest.approx(1.0))


def test_a_slowed_pool_takes_longer_from_then_on() -> None:
    slowed = Simulation(Line(), servers(2), slowings=[Slowing(0.5, 2.0)])
    assert slowed.run([arrival(0.0)])[0].ended_s == pytest.approx(1.5)


def test_ticks_come_only_while_somebody_waits() -> None:
    line = Line()
    line.tick_s = 0.25
    Simulation(line, servers(1)).run([arrival(0.0), arrival(0.5), arrival(5.0), arrival(5.1)])
    assert line.ticks[:3] == [0.75, 1.0, 5.35]
    assert max(line.ticks) <= 6.25


def test_a_policy_can_ask_how_far_the_answers_are() -> None:
    class Curious(Line):
        def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
            self.seen = list(self.pool.answers(now_s))
            return super().arrived(asked, now_s)

    line = Curious()
    Simulation(line, servers(2)).run([arrival(0.0, 50), arrival(1.05, 50), arrival(2.0, 50)])
    assert line.seen == [(1, 20), (2, 9)]


def test_a_watcher_sees_each_event() -> None:
    seen: list[float] = []
    Simulation(Line(), servers(1), rules=FOREVER).run([arrival(0.0), arrival(0.5)], watch=seen.append)
    assert {0.0, 0.5} <= set(seen)
    assert seen == sorted(seen)


def played(seed: int, limit: int, slots: int) -> tuple[Outcome, ...]:
    chance, at_s, arrivals = Random(seed), 0.0, []
    for _ in range(60):
        at_s += chance.expovariate(4.0)
        arrivals.append(arrival(at_s, chance.randrange(1, 60), prompt_tokens=chance.randrange(0, 80)))
    rules = ClientRules(patience_s=3.0, retries=2)
    simulation = Simulation(Line(limit, told_s=2.0), servers(2, slots), rules=rules, chance=Random(seed))
    return simulation.run(arrivals)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), limit=st.integers(0, 8), slots=st.integers(1, 4))
def test_every_caller_ends_exactly_once_and_no_slot_is_given_twice(seed: int, limit: int, slots: int) -> None:
    outcomes = played(seed, limit, slots)
    assert sorted(one.number for one in outcomes if one.final) == list(range(60))
    tries = sorted((one.number, one.attempt) for one in outcomes)
    assert len(set(tries)) == len(tries)
    assert all(one.asked_s <= one.ended_s for one in outcomes)
    held = [(one.started_s, 1) for one in outcomes if one.started_s is not None]
    held += [(one.ended_s, -1) for one in outcomes if one.started_s is not None]
    running = 0
    for _, change in sorted(held):
        running += change
        assert 0 <= running <= 2 * slots


def test_the_same_seed_gives_the_same_outcomes() -> None:
    assert played(7, 3, 2) == played(7, 3, 2)
    assert played(7, 3, 2) != played(8, 3, 2)
