"""What a gateway knows of its own requests, whoever decides."""

from gateway.scheduling.own_requests import OwnRequests
from gateway.scheduling.ticket_mask import Mask
from policies.admitting.effects import Forecast
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    Resumed,
    SlotTaken,
    Stepped,
    TargetLost,
    TargetReady,
    Tick,
)
from policies.admitting.ticket import BandTerms, Served, Step
from tests.counted_pool import CountedPool
from tests.unit.gateway.scheduling.gateways import BOUNDS, PEPPER, ticket

FACTS = CountedPool(2).facts
T = "pool:m@here"
FORECAST = Forecast(wait_s=3.0, position=2)


def own(*ids: int) -> OwnRequests:
    made = OwnRequests(Mask(PEPPER, "me", "here", lambda target: f"{target}@here"))
    for id_ in ids:
        made.note(Arrived(ticket(id_, team=f"t{id_ % 2}"), BOUNDS))
    return made


def test_an_arrival_is_told_masked() -> None:
    told = own().note(Arrived(ticket(1), BOUNDS))
    assert isinstance(told, Arrived)
    assert told.ticket.owner == "me"
    assert told.ticket.model != ticket(1).model


def test_waiting_is_counted_by_team_through_every_change() -> None:
    made = own(1, 2, 3)
    assert (made.waiting(), made.waiting("t1"), made.waiting("t0"), made.waiting("?")) == (3, 2, 1, 0)
    assert made.dispatched(1, T) == ticket(1, team="t1")
    assert made.refused(2) == ticket(2, team="t0")
    assert (made.waiting(), made.waiting("t1"), made.waiting("t0")) == (1, 1, 0)
    made.note(SlotTaken(1))
    made.note(SlotTaken(1))
    assert made.waiting("t1") == 2
    made.note(Left(1))
    made.dispatched(3, T)
    made.note(Ended(3, Served()))
    assert made.waiting() == 0
    assert made.announcement() == []


def test_only_what_waits_can_be_decided() -> None:
    made = own(1)
    made.dispatched(1, T)
    assert made.dispatched(1, T) is None
    assert made.refused(1) is None
    assert made.let_in(1, FORECAST) is None
    assert not made.set_aside(1, 5.0)
    assert made.forecast(1) == Forecast()
    for unknown in (made.dispatched(9, T), made.refused(9), made.let_in(9, FORECAST), made.masked(9)):
        assert unknown is None


def test_it_is_let_in_once_and_its_forecast_is_the_newest() -> None:
    made = own(1)
    assert made.let_in(1, Forecast()) == ticket(1, team="t1")
    assert made.let_in(1, FORECAST) is None
    assert made.forecast(1) == FORECAST


def test_what_happens_to_requests_that_are_not_ours_is_not_told() -> None:
    made = own(1)
    for event in (Began(9), Grew(9, 1), SlotTaken(9), Ended(9, Served()), Left(9)):
        assert made.note(event) is None


def test_a_new_decider_is_told_of_targets_what_runs_what_waits_and_what_was_not_let_in() -> None:
    made = own(1, 2, 3, 4, 5)
    made.note(TargetReady(FACTS))
    made.dispatched(3, T)
    made.note(Began(3))
    made.note(Grew(3, 7))
    made.dispatched(4, T)
    made.note(Began(4))
    made.let_in(2, FORECAST)
    made.set_aside(5, 9.0)
    target, *rest = made.announcement()
    assert isinstance(target, TargetReady)
    assert target.facts.id == T
    found = [
        (type(each), each.ticket.id, getattr(each, "target", ""), getattr(each, "output_tokens", 0))
        for each in rest
        if isinstance(each, Arrived | Resumed)
    ]
    assert found == [(Resumed, 3, T, 7), (Resumed, 4, T, 1), (Resumed, 2, "", 0), (Arrived, 1, "", 0)]
    made.note(SlotTaken(3))
    assert made.masked(3) is not None


def test_one_set_aside_is_unknown_to_the_queue_until_its_time_is_over() -> None:
    made = own(1, 2)
    assert made.set_aside(1, 5.0)
    assert made.set_aside(2, 5.0)
    assert made.due(4.9) == []
    assert made.note(Left(2)) is None
    (back,) = made.due(5.0)
    assert isinstance(back, Resumed)
    assert back.ticket.id == 1
    assert made.due(9.0) == []
    assert made.note(Left(1)) == Left(1)


def test_targets_have_our_own_names_outside_and_the_queues_inside() -> None:
    made = own(1)
    made.note(TargetReady(FACTS))
    made.dispatched(1, T)
    (view,) = made.targets()
    assert (view.id, view.slots, view.running, view.ready) == ("pool:m", 2, 1, True)
    assert made.can_reach(T)
    assert made.serving(ticket(1).pool) == (), "the queue's pool has its site in its name"
    assert made.serving(made.masked(1).pool) == (T,)  # type: ignore[union-attr]
    made.note(TargetLost(FACTS))
    assert not made.can_reach(T)
    assert made.serving(made.masked(1).pool) == ()  # type: ignore[union-attr]
    assert not made.targets()[0].ready


def test_steps_bands_and_ticks() -> None:
    made = own()
    step = Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=1)
    assert made.note(Stepped("pool:m", step)) == Stepped(T, step)
    bands = BandsChanged((BandTerms("b", 1.0),))
    assert made.bands == BandsChanged(())
    assert made.note(bands) == bands
    assert made.bands == bands
    assert made.note(Tick()) == Tick()
