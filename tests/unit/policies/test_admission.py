"""The queue, driven by hand: events in, effects out. Invariants at the end, by Hypothesis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.admission import (
    MAX_RETRY_AFTER_S,
    RETURN_GRACE_S,
    TAKEN_PAUSE_S,
    Bounds,
    Dispatch,
    Effect,
    Queue,
    Refuse,
    TargetView,
    Ticket,
)
from policies.call import CallKind

POOL: tuple[str, CallKind] = ("m", "chat")
WIDE = Bounds(total=100, team=100)


def ticket(
    number: int, *, team: str = "a", model: str = "m", at_s: float = 0.0, expires_s: float | None = None
) -> Ticket:
    return Ticket(id=number, model=model, kind="chat", team=team, arrived_s=at_s, expires_s=expires_s)


def queue_with(slots: int = 1, *names: str) -> Queue:
    queue = Queue()
    for name in names or ("w",):
        assert queue.target_ready(name, [POOL], slots, 0.0) == []
    return queue


def test_a_free_slot_is_given_at_once() -> None:
    queue = queue_with()
    assert queue.arrived(ticket(1), WIDE, 0.0) == [Dispatch(ticket(1), "w")]
    assert queue.targets() == (TargetView(id="w", slots=1, running=1, ready=True),)


def test_the_order_is_first_come_first_served() -> None:
    queue = queue_with()
    for number in (1, 2, 3):
        queue.arrived(ticket(number), WIDE, 0.0)
    assert (queue.waiting(), queue.position(2), queue.position(3), queue.position(1)) == (2, 1, 2, 0)
    assert queue.ended(1, 1.0) == [Dispatch(ticket(2), "w")]
    assert queue.left(2, 1.0) == [Dispatch(ticket(3), "w")]
    assert queue.ended(3, 1.0) == []


def test_one_who_left_while_waiting_is_never_dispatched() -> None:
    queue = queue_with()
    for number in (1, 2, 3):
        queue.arrived(ticket(number), WIDE, 0.0)
    assert queue.left(2, 0.5) == []
    assert queue.ended(1, 1.0) == [Dispatch(ticket(3), "w")]
    assert queue.left(2, 1.0) == []
    assert queue.ended(99, 1.0) == []


def test_the_target_with_most_room_gets_the_next() -> None:
    queue = queue_with(2, "w", "x")
    targets = [
        effect.target
        for n in range(4)
        for effect in queue.arrived(ticket(n), WIDE, 0.0)
        if isinstance(effect, Dispatch)
    ]
    assert sorted(targets) == ["w", "w", "x", "x"]
    assert targets[0] != targets[1]


def test_pools_do_not_wait_for_each_other() -> None:
    queue = queue_with()
    queue.target_ready("y", [("n", "chat")], 1, 0.0)
    queue.arrived(ticket(1), WIDE, 0.0)
    assert queue.arrived(ticket(2), WIDE, 0.0) == []
    assert queue.arrived(ticket(3, model="n"), WIDE, 0.0) == [Dispatch(ticket(3, model="n"), "y")]


def test_what_waits_is_bounded_in_all() -> None:
    queue = queue_with()
    bounds = Bounds(total=1, team=5)
    queue.arrived(ticket(1), bounds, 0.0)
    assert queue.arrived(ticket(2), bounds, 0.0) == []
    [refusal] = queue.arrived(ticket(3), bounds, 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.reason, refusal.ticket.id) == ("queue_full", 3)
    assert 1.0 <= refusal.retry_after_s <= MAX_RETRY_AFTER_S
    assert queue.waiting() == 1


def test_what_waits_is_bounded_for_each_team() -> None:
    queue = queue_with()
    bounds = Bounds(total=9, team=1)
    queue.arrived(ticket(1), bounds, 0.0)
    queue.arrived(ticket(2), bounds, 0.0)
    [refusal] = queue.arrived(ticket(3), bounds, 0.0)
    assert isinstance(refusal, Refuse)
    assert refusal.reason == "team_queue_full"
    assert queue.arrived(ticket(4, team="b"), bounds, 0.0) == []
    assert (queue.waiting("a"), queue.waiting("b")) == (1, 1)


def test_an_unknown_pool_is_refused_at_once() -> None:
    [refusal] = Queue().arrived(ticket(1), WIDE, 0.0)
    assert refusal == Refuse(ticket(1), "no_capacity", 1.0)


def test_waiters_outlast_a_restart_but_not_a_dead_pool() -> None:
    queue = queue_with()
    queue.target_lost("w", [POOL], 10.0)
    queue.target_lost("w", [POOL], 20.0)
    assert queue.arrived(ticket(1), WIDE, 11.0) == []
    assert queue.tick(10.0 + RETURN_GRACE_S - 0.1) == []
    assert queue.tick(10.0 + RETURN_GRACE_S) == [Refuse(ticket(1), "no_capacity", 1.0)]
    [refusal] = queue.arrived(ticket(2), WIDE, 10.0 + RETURN_GRACE_S)
    assert isinstance(refusal, Refuse)


def test_a_target_that_comes_back_serves_who_waited() -> None:
    queue = Queue()
    queue.target_lost("w", [POOL], 0.0)
    queue.arrived(ticket(1), WIDE, 0.0)
    assert queue.target_ready("w", [POOL], 1, 2.0) == [Dispatch(ticket(1), "w")]


def test_a_lost_target_keeps_its_pools_when_it_names_none() -> None:
    queue = queue_with()
    queue.target_lost("w", [], 1.0)
    assert queue.arrived(ticket(1), WIDE, 1.5) == []


def test_a_taken_slot_returns_the_ticket_to_its_place() -> None:
    queue = queue_with()
    queue.arrived(ticket(1, at_s=0.0), WIDE, 0.0)
    queue.arrived(ticket(2, at_s=0.1), WIDE, 0.1)
    assert queue.slot_taken(1, 0.2) == []
    assert (queue.position(1), queue.position(2)) == (1, 2)
    assert queue.step_report("w", 1, 0.3) == []
    assert queue.step_report("w", 0, 0.4) == [Dispatch(ticket(1, at_s=0.0), "w")]
    assert queue.step_report("w", 0, 0.5) == []
    assert queue.step_report("unknown", 0, 0.5) == []
    assert queue.slot_taken(77, 0.5) == []


def test_a_target_left_alone_is_tried_again_after_a_while() -> None:
    queue = queue_with()
    queue.arrived(ticket(1), WIDE, 0.0)
    queue.slot_taken(1, 0.0)
    assert queue.tick(TAKEN_PAUSE_S / 2) == []
    assert queue.tick(TAKEN_PAUSE_S) == [Dispatch(ticket(1), "w")]


def test_what_waits_too_long_is_refused() -> None:
    queue = queue_with()
    queue.arrived(ticket(1), WIDE, 0.0)
    queue.arrived(ticket(2, expires_s=5.0), WIDE, 0.0)
    queue.arrived(ticket(3), WIDE, 0.0)
    assert queue.tick(4.9) == []
    [refusal] = queue.tick(5.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.ticket.id, refusal.reason) == (2, "expired_in_queue")
    assert queue.position(3) == 1


def test_retry_after_grows_with_the_work_ahead() -> None:
    queue = queue_with()
    queue.arrived(ticket(1), WIDE, 0.0)
    for number in range(2, 40):
        queue.arrived(ticket(number), WIDE, 0.0)
        queue.ended(number - 1, 60.0 * number)
    [refusal] = queue.arrived(ticket(99), Bounds(total=0, team=0), 0.0)
    assert isinstance(refusal, Refuse)
    assert 10.0 < refusal.retry_after_s <= MAX_RETRY_AFTER_S


NAMES = ["arrive", "leave", "end", "taken", "report", "ready", "lost", "tick"]
EVENTS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 11)), max_size=80)


@given(EVENTS)
@pytest.mark.filterwarnings("error")
def test_no_ticket_is_lost_doubled_or_dispatched_after_it_left(events: list[tuple[str, int]]) -> None:
    """Conservation: every arrived ticket is waiting, running, refused or gone; slots are never exceeded."""
    queue = Queue()
    bounds = Bounds(total=4, team=3)
    state: dict[int, str] = {}
    now_s = 0.0
    for number, (name, pick) in enumerate(events):
        now_s += 0.7
        mine = [each for each, where in state.items() if where in ("waiting", "running")]
        chosen = mine[pick % len(mine)] if mine else -1
        effects: list[Effect] = []
        if name == "arrive":
            state[number] = "waiting"
            effects = queue.arrived(ticket(number, team="ab"[pick % 2], at_s=now_s, expires_s=now_s + 9), bounds, now_s)
        elif name == "leave":
            effects = queue.left(chosen, now_s)
            state[chosen] = "gone"
        elif name == "end" and state.get(chosen) == "running":
            effects = queue.ended(chosen, now_s)
            state[chosen] = "gone"
        elif name == "taken" and state.get(chosen) == "running":
            state[chosen] = "waiting"
            effects = queue.slot_taken(chosen, now_s)
        elif name == "report":
            effects = queue.step_report("wx"[pick % 2], pick % 3, now_s)
        elif name == "ready":
            effects = queue.target_ready("wx"[pick % 2], [POOL], 2, now_s)
        elif name == "lost":
            effects = queue.target_lost("wx"[pick % 2], [POOL], now_s)
        elif name == "tick":
            effects = queue.tick(now_s)
        for effect in effects:
            assert state[effect.ticket.id] == "waiting"
            state[effect.ticket.id] = "running" if isinstance(effect, Dispatch) else "refused"
        places = list(state.values())
        assert queue.waiting() == places.count("waiting")
        assert sum(target.running for target in queue.targets()) == places.count("running")
        assert all(target.running <= target.slots for target in queue.targets())
        assert queue.waiting() <= bounds.total + 4, "only tickets returned by a worker may exceed the bound"
