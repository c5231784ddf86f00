"""What the queue knows of a target, and which targets make up a domain."""

import math

import pytest

from policies.admitting.prefixes import BLOCK_TOKENS
from policies.admitting.target import (
    FIRST_LOAD_S,
    LOAD_GAIN,
    RETURN_GRACE_S,
    Domain,
    Running,
    Target,
    domains,
)
from policies.admitting.team_account import Waiting
from policies.admitting.ticket import PoolKey, Step
from tests.unit.policies.queue_driver import OTHER, POOL, facts, ticket

THIRD: PoolKey = ("third", "", "chat")


def ready(slots: int = 2, at_s: float = 100.0, **terms: object) -> Target:
    target = Target(facts(slots=slots, **terms))
    target.announced(target.facts, at_s)
    return target


def run(target: Target, *numbers: int) -> None:
    for number in numbers:
        target.running[number] = Running(ticket(number), target, 100.0, 1.0)


def test_room_is_what_no_request_holds() -> None:
    target = ready()
    assert target.room(100.0) == 2
    run(target, 1, 2)
    assert target.room(100.0) == 0
    target.announced(facts(slots=1), 101.0)
    assert target.room(101.0) == 0, "more run than it has slots now"


def test_a_target_that_is_left_alone_or_not_ready_has_no_room() -> None:
    target = ready()
    target.free_again_s = 101.0
    assert (target.room(100.9), target.room(101.0)) == (0, 2)
    target.lost(target.facts, 102.0)
    assert target.room(102.0) == 0


def test_one_that_is_gone_may_return_for_a_while() -> None:
    target = ready()
    target.lost(target.facts, 200.0)
    target.lost(target.facts, 220.0)
    assert target.may_return(200.0 + RETURN_GRACE_S - 0.1)
    assert not target.may_return(200.0 + RETURN_GRACE_S), "counted from when it went, not from when it was last said"


def test_how_long_a_load_takes_is_learnt() -> None:
    target = Target(facts())
    target.lost(facts(), 100.0)
    assert target.loads_for_s(100.0) == FIRST_LOAD_S
    assert target.loads_for_s(200.0) == 0.0
    target.announced(facts(), 113.0)
    assert target.load_s == pytest.approx(FIRST_LOAD_S + LOAD_GAIN * (13.0 - FIRST_LOAD_S))
    assert target.loads_for_s(113.0) == 0.0
    target.lost(facts(), 200.0)
    target.announced(facts(), 200.0 + 11 * RETURN_GRACE_S)
    assert target.load_s < 13.0, "nobody loads that long: it was switched off"


def test_a_lost_target_keeps_what_it_served_when_it_names_nothing() -> None:
    target = ready()
    target.prefixes.remember((b"a",))
    target.resident = POOL
    target.lost(facts(pools=()), 101.0)
    assert target.facts.pools == (POOL,)
    assert target.prefixes.matched_tokens((b"a",)) == 0
    assert target.resident is None
    target.lost(facts(pools=(OTHER,)), 102.0)
    assert target.facts.pools == (OTHER,)


@pytest.mark.parametrize(
    ("step_s", "decode_rows", "prefill_rows"),
    [(0.1, 1, 3), (0.1, 0, 0), (0.1, 9, 0), (0.0, 1, 0), (math.nan, 1, 0), (math.inf, 1, 0)],
)
def test_only_pure_decode_steps_tell_a_tokens_time(step_s: float, decode_rows: int, prefill_rows: int) -> None:
    target = ready()
    target.stepped(Step(step_s=0.05, decode_rows=2, prefill_rows=0, busy_slots=2))
    target.stepped(Step(step_s=step_s, decode_rows=decode_rows, prefill_rows=prefill_rows, busy_slots=2))
    assert target.decode.rows() == ((2, 0.05),)


def test_what_a_swap_costs_is_learnt_from_loads() -> None:
    target = ready()
    for load_s in (0.01, math.nan, math.inf):
        target.swapped(load_s)
    assert target.swap_s == 0.0
    target.swapped(4.0)
    assert target.swap_s == 4.0
    target.swapped(2.0)
    assert target.swap_s == pytest.approx(4.0 - 2.0 * LOAD_GAIN)


def test_utilisation_is_the_share_of_the_slots_time_in_use() -> None:
    target = ready()
    target.account(100.0)
    run(target, 1)
    for second in range(600):
        target.account(100.0 + second)
    assert target.utilisation(700.0) == pytest.approx(0.5, abs=0.02)
    assert ready(slots=0).utilisation(100.0) == 0.0


def test_a_target_remembers_as_much_as_its_slots_hold() -> None:
    target = ready(slots=2, slot_tokens=2 * BLOCK_TOKENS)
    target.prefixes.remember([bytes([each]) for each in range(10)])
    assert len(target.prefixes._blocks) == 4


def test_targets_that_share_a_pool_are_a_domain() -> None:
    one, two, three = (Target(facts(name)) for name in "uvw")
    two.facts = facts("v", pools=(OTHER,))
    three.facts = facts("w", pools=(THIRD,))
    assert len(domains([one, two, three])) == 3
    bridge = Target(facts("x", pools=(POOL, OTHER)))
    found = domains([one, two, three, bridge])
    assert sorted(len(each.targets) for each in found) == [1, 3]
    assert {each.name for each in found} == {"m//chat", "third//chat"}


def test_a_domain_adds_up_its_targets() -> None:
    one, two = ready(slots=2, slot_weight=1.0), Target(facts("x", 6, slot_weight=3.0))
    domain = Domain([one, two])
    assert (domain.slots(), domain.expected_slots(100.0), domain.room(100.0)) == (2, 2, 2)
    assert domain.slot_weight() == pytest.approx((2 * 1.0 + 6 * 3.0) / 8)
    assert domain.of(POOL) == [one, two]
    one.lost(one.facts, 100.0)
    assert (domain.slots(), domain.expected_slots(100.0)) == (0, 2 + 0)
    nothing = Domain([Target(facts(slots=0, pools=()))])
    assert (nothing.name, nothing.slot_weight()) == ("", 1.0)


def test_one_that_must_run_alone_starts_on_a_ready_and_empty_target_only() -> None:
    target = Target(facts(slots=2))
    target.announced(target.facts, 10.0)
    assert target.next_alone(10.0) is None
    alone = Waiting(ticket(1, alone=True))
    target.lone.add(alone, 10.0)
    assert target.next_alone(10.0) is alone
    assert target.room(10.0) == 0
    target.running[2] = Running(ticket(2), target, 10.0, 0.0)
    assert target.next_alone(10.0) is None
    del target.running[2]
    target.free_again_s = 12.0
    assert target.next_alone(11.0) is None
    target.announced(facts(slots=0), 13.0)
    assert target.next_alone(13.0) is None, "a target without slots"
    target.lost(target.facts, 14.0)
    assert target.next_alone(14.0) is None


def test_one_that_is_loaded_for_whoever_waits_is_worth_waiting_for_however_long_it_is_away() -> None:
    target = ready()
    target.lost(facts(standby="absent", load_s=4.0), 200.0)
    assert target.may_return(1e6)
    assert target.loads_for_s(1e6) == 4.0, "its load has yet to begin"
    target.lost(facts(standby="loading", load_s=4.0), 300.0)
    assert (target.loads_for_s(301.0), target.loads_for_s(309.0)) == (3.0, 0.0)
    assert target.may_return(1e6)
    target.announced(facts(), 305.0)
    assert target.load_s == pytest.approx(FIRST_LOAD_S + LOAD_GAIN * (5.0 - FIRST_LOAD_S)), "from when it began"
    target.lost(facts(standby="absent"), 400.0)
    known_s = target.load_s
    assert target.loads_for_s(1e6) == known_s, "nobody measured another one"
    target.announced(facts(), 450.0)
    assert target.load_s == known_s, "most of the time nobody waited for it"


def test_one_that_was_given_up_on_is_not_worth_waiting_for() -> None:
    target = ready()
    target.lost(facts(standby="failed"), 200.0)
    assert not target.may_return(200.0)
