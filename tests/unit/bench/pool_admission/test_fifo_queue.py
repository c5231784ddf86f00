"""First come, first served, on the contract of the production queue."""

from bench.pool_admission.fifo_queue import FifoQueue
from policies.admitting.effects import Dispatch, Refuse, Waits
from policies.admitting.events import Arrived, Ended, Left, SlotTaken, TargetLost, TargetReady, Tick
from policies.admitting.ticket import Bounds, Served, TargetFacts, Ticket

POOL = ("m", "", "completion")
FACTS = TargetFacts(id="w", pools=(POOL,), slots=1)
WIDE = Bounds(512, 512)


def ticket(number: int, team: str = "light", expires_s: float | None = None) -> Ticket:
    return Ticket(
        id=number,
        model="m",
        kind="completion",
        team=team,
        arrived_s=float(number),
        expires_s=expires_s,
        promise_s=0.001,
    )


def ready() -> FifoQueue:
    queue = FifoQueue()
    queue.handle(TargetReady(FACTS), 0.0)
    return queue


def names(effects: list[object]) -> list[tuple[str, int]]:
    return [(type(each).__name__, each.ticket.id) for each in effects]  # type: ignore[attr-defined]


def test_whoever_comes_first_is_served_first_whatever_was_promised() -> None:
    queue = ready()
    assert queue.handle(Arrived(ticket(1), WIDE), 1.0) == [Dispatch(ticket(1), "w")]
    for number in (2, 3, 4):
        (waits,) = queue.handle(Arrived(ticket(number, "flood" if number < 4 else "light"), WIDE), 1.0)
        assert isinstance(waits, Waits)
    assert queue.waiting() == 3
    assert queue.waiting("flood") == 2
    assert (queue.position(3), queue.position(4), queue.position(1)) == (2, 1, 0)
    assert queue.forecast(3, 0.0).position == 2
    assert queue.predict(ticket(5), 0.0).position == 2
    order = [queue.handle(Ended(number, Served()), 9.0)[0].ticket.id for number in (1, 2, 3)]
    assert order == [2, 3, 4]


def test_bounds_are_kept() -> None:
    queue = ready()
    queue.handle(Arrived(ticket(1), WIDE), 1.0)
    queue.handle(Arrived(ticket(2), WIDE), 1.0)
    assert names(queue.handle(Arrived(ticket(3), Bounds(1, 512)), 1.0)) == [("Refuse", 3)]
    refused = queue.handle(Arrived(ticket(4), Bounds(512, 1)), 1.0)[0]
    assert isinstance(refused, Refuse)
    assert refused.reason == "team_queue_full"


def test_who_leaves_or_expires_is_not_served() -> None:
    queue = ready()
    for number in (1, 2, 3):
        queue.handle(Arrived(ticket(number, expires_s=5.0), WIDE), 1.0)
    assert queue.handle(Left(2), 2.0) == []
    assert names(queue.handle(Tick(), 5.0)) == [("Refuse", 3)]
    assert queue.waiting() == 0


def test_a_slot_that_was_taken_is_tried_again_at_the_next_tick() -> None:
    queue = ready()
    queue.handle(Arrived(ticket(1), WIDE), 1.0)
    queue.handle(Arrived(ticket(2), WIDE), 1.0)
    assert queue.handle(SlotTaken(1), 1.0) == []
    assert names(queue.handle(Tick(), 1.25)) == [("Dispatch", 1)]


def test_a_pool_without_a_target_refuses_and_one_that_is_lost_keeps_its_line() -> None:
    queue = FifoQueue()
    refused = queue.handle(Arrived(ticket(1), WIDE), 1.0)[0]
    assert isinstance(refused, Refuse)
    assert refused.reason == "no_capacity"
    queue = ready()
    queue.handle(TargetLost(FACTS), 2.0)
    assert names(queue.handle(Arrived(ticket(2), WIDE), 2.0)) == [("Waits", 2)]
    assert not queue.targets()[0].ready
    assert names(queue.handle(TargetReady(FACTS), 3.0)) == [("Dispatch", 2)]
    view = queue.view(3.0)
    assert (view.waiting, view.running) == (0, 1)
