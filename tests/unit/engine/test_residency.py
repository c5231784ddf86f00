"""Rules of loading by hand, then by chance: the budget is never exceeded, and who waits is served."""

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.residency import (
    FAREWELL_S,
    LONGEST_DRAIN_S,
    RESIDENT,
    WANTED_S,
    Drain,
    Effect,
    Residency,
    Start,
    WorkerNeeds,
)

A, B, C, BIG = ("a", "chat"), ("b", "chat"), ("c", "chat"), ("big", "chat")


def needs(name: str, size: int = 6, model: str = "", role: str = "chat") -> WorkerNeeds:
    return WorkerNeeds(name=name, model=model or name, role=role, needs_bytes=size)


def residency(*workers: WorkerNeeds, budget: int = 10, **rules: Any) -> Residency:
    return Residency(workers, budget_bytes=budget, **rules)


def two(**rules: Any) -> Residency:
    """`a` is loaded since 1.0 and has served, `b` does not fit beside it."""
    found = residency(needs("a"), needs("b"), **rules)
    assert found.begin(0.0) == [Start("a")]
    found.loaded("a", 1.0)
    found.busy("a", 0, 1, 1.0)
    return found


def ask(found: Residency, group: tuple[str, str], now_s: float) -> list[Effect]:
    found.want(hash(group), [group], now_s)  # a gateway for each
    return found.tick(now_s)


def states(found: Residency) -> list[str]:
    return [each.state for each in found.residences()]


def test_without_a_budget_everything_is_loaded_at_the_start() -> None:
    found = residency(needs("a"), needs("b", role="embedding", model="a"), budget=0)
    assert found.begin(0.0) == [Start("a"), Start("b")]


def test_at_the_start_first_workers_of_each_model_come_before_second_ones() -> None:
    found = residency(needs("a1", 4, "a"), needs("a2", 4, "a"), needs("b", 4), budget=10)
    assert found.begin(0.0) == [Start("a1"), Start("b")]
    assert states(found) == ["starting", "unloaded", "starting"]


def test_a_worker_above_the_budget_is_never_started() -> None:
    found = residency(needs("a", 11))
    assert found.begin(0.0) == []
    assert ask(found, A, 1e9) == []
    assert found.residences()[0].reason == "needs 11 of 10 bytes"


def test_an_idle_model_makes_room_at_once() -> None:
    found = two()
    assert ask(found, B, 5.0) == [Drain("a")]
    assert ask(found, B, 6.0) == []  # it is on its way
    found.died("a", 6.5)
    assert ask(found, B, 7.0) == [Start("b")]
    assert ask(found, B, 7.5) == []
    found.loaded("b", 9.0)
    assert found.residences()[1].load_s == 2.0
    assert found.state("b") == "loaded"


def test_a_busy_model_makes_room_only_when_the_other_has_waited() -> None:
    found = two()
    found.busy("a", 1, 2, 5.0)
    assert ask(found, B, 5.0) == []
    for moment in range(6, 15):
        assert ask(found, B, float(moment)) == []
    assert ask(found, B, 15.0) == [Drain("a")]


def test_a_model_that_was_loaded_for_somebody_who_has_not_had_it_yet_counts_as_busy() -> None:
    found = residency(needs("a"), needs("b"))
    found.want(hash(A), [A], 0.0)
    assert found.tick(0.0) == [Start("a")]
    found.loaded("a", 0.5)
    found.want(hash(A), [A], 2.0)
    assert ask(found, B, 2.0) == []
    found.busy("a", 0, 1, 2.5)  # had, and over
    assert ask(found, B, 2.5) == [Drain("a")]


def test_what_nobody_says_any_more_is_not_wanted() -> None:
    found = two()
    found.want(hash(B), [B], 5.0)
    assert found.tick(5.0 + WANTED_S + 0.1) == []


def test_what_one_gateway_takes_back_another_may_still_want() -> None:
    found = two()
    found.busy("a", 1, 2, 5.0)
    found.want(1, [B], 5.0)
    found.want(2, [B], 6.0)
    found.want(1, [], 6.5)
    found.want(2, [B], 9.0)
    found.want(2, [B], 12.0)
    assert found.tick(14.9) == []
    assert found.tick(15.0) == [Drain("a")]  # it has been wanted since 5.0
    other = two()
    other.want(1, [B], 5.0)
    other.want(1, [], 5.0)
    assert other.tick(5.0) == []


def test_a_younger_demand_passes_one_that_has_no_room_until_that_has_waited_the_patience() -> None:
    found = residency(needs("a", 6), needs("big", 9), needs("c", 2), needs("d", 2), budget=10)
    found.want(hash(A), [A], 0.0)
    found.tick(0.0)
    found.loaded("a", 14.0)
    for moment in range(4, 15):
        found.want(hash(BIG), [BIG], float(moment))
        found.busy("a", 1, 1, float(moment))
        found.tick(float(moment))
    assert states(found) == ["loaded", "unloaded", "unloaded", "unloaded"]
    assert ask(found, C, 13.9) == [Start("c")]
    found.want(hash(BIG), [BIG], 15.0)
    assert ask(found, ("d", "chat"), 15.0) == []


def test_room_that_is_being_made_is_not_given_to_a_younger_demand() -> None:
    found = residency(needs("a", 6), needs("b", 9), needs("c", 4), budget=10)
    found.begin(0.0)
    found.loaded("a", 1.0)
    found.loaded("c", 1.0)
    found.busy("a", 0, 1, 1.0)
    found.busy("c", 0, 1, 1.0)
    assert sorted(each.worker for each in ask(found, B, 5.0)) == ["a", "c"]
    found.died("c", 5.1)
    found.want(hash(B), [B], 5.2)
    assert ask(found, C, 5.2) == []
    found.died("a", 5.3)
    assert ask(found, B, 5.4) == [Start("b")]


def test_a_second_worker_of_a_wanted_model_takes_free_room_only() -> None:
    found = residency(needs("a1", 4, "a"), needs("a2", 4, "a"), needs("b", 4), budget=10)
    assert ask(found, A, 0.0) == [Start("a1")]
    assert ask(found, A, 0.1) == []  # one at a time
    found.loaded("a1", 1.0)
    assert ask(found, A, 1.0) == [Start("a2")]
    found.loaded("a2", 2.0)
    assert ask(found, A, 2.0) == []  # no third
    full = residency(needs("a1", 4, "a"), needs("a2", 4, "a"), needs("b", 4), budget=8)
    full.begin(0.0)
    full.loaded("a1", 1.0)
    full.loaded("b", 1.0)
    full.busy("b", 0, 1, 1.0)
    assert ask(full, A, 9.0) == []


def test_an_idle_model_goes_when_its_time_is_over() -> None:
    found = two(keep_alive_s=30.0)
    assert found.residences()[0].expires_s == 31.0
    found.busy("a", 1, 2, 20.0)
    assert found.tick(60.0) == []  # it works
    found.busy("a", 0, 2, 61.0)
    assert found.tick(61.0) == [Drain("a")]
    found.died("a", 62.0)
    assert found.residences()[0].expires_s is None


def test_a_model_that_somebody_waits_for_does_not_go() -> None:
    found = two(keep_alive_s=30.0)
    assert ask(found, A, 40.0) == []


def test_a_hint_keeps_a_model_longer_and_never_shorter() -> None:
    found = two(keep_alive_s=30.0)
    found.keep("a", 100.0, 2.0)
    found.keep("a", 1.0, 3.0)
    assert found.residences()[0].expires_s == 102.0
    found.keep("a", math.inf, 3.0)
    assert found.residences()[0].expires_s is None
    assert ask(found, B, 1e6) == [Drain("a")]  # but never against one that is wanted


def test_a_model_that_is_let_go_goes_once_it_is_idle() -> None:
    found = two()
    found.busy("a", 1, 2, 5.0)
    found.release("a", 5.0)
    assert found.tick(5.0) == []
    found.busy("a", 0, 2, 6.0)
    found.release("a", 6.0)
    assert found.tick(6.0) == [Drain("a")]
    found.release("a", 6.0)
    found.keep("b", 9.0, 6.0)  # not there: nothing to keep


def test_one_that_died_is_still_counted_and_one_given_up_on_is_not() -> None:
    found = two()
    found.died("a", 5.0)
    assert found.state("a") == "restarting"
    assert ask(found, B, 5.0) == []
    found.failed("a", 300.0, "ended with status 3", 6.0)
    assert found.residences()[0].reason == "ended with status 3"
    assert ask(found, B, 6.5) == [Start("b")]
    assert ask(found, A, 7.0) == []
    found.died("b", 8.0)
    found.failed("b", 300.0, "x", 8.0)
    assert ask(found, A, 307.0) == [Start("a")]


def test_without_a_budget_one_given_up_on_is_tried_again_by_itself() -> None:
    found = residency(needs("a"), budget=0)
    found.begin(0.0)
    found.failed("a", 300.0, "x", 1.0)
    assert found.tick(300.0) == []
    assert found.tick(301.0) == [Start("a")]


def test_what_is_said_of_a_worker_that_is_not_there_changes_nothing() -> None:
    found = two()
    for name in ("loaded", "died"):
        getattr(found, name)("b", 2.0)
    found.failed("b", 1.0, "x", 2.0)
    found.loaded("a", 9.0)
    assert states(found) == ["loaded", "unloaded"]
    assert found.residences()[0].since_s == 1.0


WORKERS = (needs("a1", 4, "a"), needs("a2", 4, "a"), needs("b", 6), needs("c", 9), needs("e", 1, "a", "embedding"))
GROUPS = sorted({each.group for each in WORKERS})
BUDGET = 10


def test_who_does_not_leave_for_an_hour_is_overdue_and_nobody_else() -> None:
    found = two()
    assert not found.is_overdue("a", 1e9)
    found.release("a", 5.0)
    assert found.tick(5.0) == [Drain("a")]
    assert [found.is_overdue("a", 5.0 + more_s) for more_s in (LONGEST_DRAIN_S, LONGEST_DRAIN_S + 1)] == [False, True]
    assert not found.is_overdue("b", 1e9)


class World(RuleBasedStateMachine):
    """Processes that start, serve, die and end when told, as the residency says."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.found = Residency(WORKERS, budget_bytes=BUDGET, keep_alive_s=20.0, patience_s=5.0)
        self.alive: dict[str, str] = {}
        self.begun: dict[str, int] = {}
        self.carry_out(self.found.begin(0.0))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Start):
                assert effect.worker not in self.alive
                self.alive[effect.worker], self.begun[effect.worker] = "loading", 0
            else:
                assert self.alive[effect.worker] == "up"
                self.alive[effect.worker] = "leaving"

    def step(self, seconds: float = 0.25) -> None:
        self.now_s += seconds
        self.carry_out(self.found.tick(self.now_s))

    def some(self, data: Any, *states: str) -> str | None:
        names = sorted(name for name, state in self.alive.items() if state in states)
        return data.draw(st.sampled_from(names)) if names else None

    @rule(group=st.sampled_from(GROUPS), seconds=st.floats(0.0, 8.0))
    def somebody_waits(self, group: tuple[str, str], seconds: float) -> None:
        self.found.want(hash(group) % 2, [group], self.now_s)
        self.step(seconds)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), busy=st.integers(0, 2))
    def a_worker_gets_on(self, data: Any, busy: int) -> None:
        name = self.some(data, "loading", "up")
        if name is not None and self.alive[name] == "loading":
            self.alive[name] = "up"
            self.found.loaded(name, self.now_s)
        elif name is not None:
            self.begun[name] += busy
            self.found.busy(name, busy, self.begun[name], self.now_s)
        self.step()

    @rule(data=st.data(), given_up=st.booleans())
    def a_worker_ends(self, data: Any, given_up: bool) -> None:
        name = self.some(data, "loading", "up", "leaving")
        if name is None:
            return
        was = self.alive.pop(name)
        self.found.died(name, self.now_s)
        if was != "leaving" and given_up:
            self.found.failed(name, 9.0, "x", self.now_s)
        elif was != "leaving":  # its keeper starts it again
            self.alive[name], self.begun[name] = "loading", 0
        self.step()

    @rule(model=st.sampled_from("abc"), seconds=st.sampled_from([0.0, 5.0, math.inf]))
    def a_caller_asks_for_time(self, model: str, seconds: float) -> None:
        if seconds:
            self.found.keep(model, seconds, self.now_s)
        else:
            self.found.release(model, self.now_s)
        self.step()

    @invariant()
    def the_budget_holds_for_what_lives_and_for_what_is_counted(self) -> None:
        sizes = {each.name: each.needs_bytes for each in WORKERS}
        assert sum(sizes[name] for name in self.alive) <= BUDGET
        counted = {each.name for each in self.found.residences() if each.state in RESIDENT}
        assert counted == set(self.alive)

    def teardown(self) -> None:
        """Whoever waits long enough is served, whatever was before: here while all others are busy for ever."""
        self.step(10.0)
        for _ in range(400):
            if self.found.state("c") == "loaded":
                return
            self.found.want(3, [C], self.now_s)
            for name, state in list(self.alive.items()):
                if state == "leaving":
                    del self.alive[name]
                    self.found.died(name, self.now_s)
                elif state == "loading":
                    self.alive[name] = "up"
                    self.found.loaded(name, self.now_s)
                else:
                    self.begun[name] += 1
                    self.found.busy(name, 1, self.begun[name], self.now_s)
            self.step()
        raise AssertionError("c was never loaded")


World.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestWorld = World.TestCase


def served() -> Residency:
    found = Residency([WorkerNeeds(name=name, model=name, role="chat") for name in "ab"])
    found.begin(0.0)
    found.loaded("a", 1.0)
    return found


def test_a_worker_that_leaves_by_its_own_word_and_stays_is_overdue() -> None:
    found = served()
    for second in range(int(100 + FAREWELL_S) + 1):
        assert not found.is_overdue("a", 5.0 + second)
        found.said_away(1, ["a"], 100.0, 5.0 + second)
    assert found.is_overdue("a", 5.0 + 100 + FAREWELL_S + 1)
    assert not found.is_overdue("b", 1e9)
    found.died("a", 200.0)
    assert not found.is_overdue("a", 1e9), "the next process has said nothing"


def test_what_no_gateway_says_any_more_is_over_and_begins_anew() -> None:
    found = served()
    found.said_away(1, ["a", "unknown"], 10.0, 5.0)
    assert not found.is_overdue("a", 5.0 + WANTED_S + 1e6)
    found.said_away(1, ["a"], 10.0, 1000.0)
    assert not found.is_overdue("a", 1001.0)


def test_the_longest_leaving_is_what_the_gateways_answers_may_take() -> None:
    found = served()
    assert found.longest_leaving_s() == LONGEST_DRAIN_S
    found.said_away(1, [], 7200.0, 5.0)
    found.said_away(2, [], 600.0, 5.0)
    assert found.longest_leaving_s() == 7200.0 + FAREWELL_S
    found.said_away(1, [], 0.0, 6.0)
    assert found.longest_leaving_s() == 600.0 + FAREWELL_S
    found.release("a", 6.0)
    assert found.tick(6.0) == [Drain("a")]
    assert [found.is_overdue("a", 6.0 + more_s) for more_s in (660.0, 661.0)] == [False, True]
