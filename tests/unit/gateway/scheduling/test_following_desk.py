"""The desk of one that follows, by hand: what it tells, and which letters it takes."""

from typing import Any

from gateway.scheduling.following_desk import LENT_S, SILENT_S, FollowingDesk
from gateway.scheduling.own_requests import OwnRequests
from gateway.scheduling.queue_letters import MAX_EVENTS, Decided, Go, No, Stay, Told
from gateway.scheduling.ticket_mask import Mask
from policies.admission import Queue
from policies.admitting.effects import Dispatch, Forecast, Refuse, Waits
from policies.admitting.events import Arrived, BandsChanged, Left, QueueEvent, Resumed, Stepped, TargetReady, Tick
from policies.admitting.ticket import Step
from tests.counted_pool import CountedPool
from tests.unit.gateway.scheduling.gateways import BOUNDS, PEPPER, ticket

T = "pool:m@here"
NOW_S = 100.0
STEP = Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=1)


class Desk(FollowingDesk):
    """Of a gateway with one target, and the letters of who decides."""

    def __init__(self, *ids: int) -> None:
        self.own = OwnRequests(Mask(PEPPER, "me", "here", lambda target: f"{target}@here"))
        self.own.note(TargetReady(CountedPool(4).facts))
        for id_ in ids:
            self.own.note(Arrived(ticket(id_, arrived_s=NOW_S), BOUNDS))
        super().__init__("me", "boss", 7, 3, self.own, NOW_S)
        self._seq = 0

    def happens(self, event: QueueEvent, now_s: float = NOW_S) -> None:
        told = self.own.note(event)
        assert told is not None
        self.take(told, now_s)

    def ask(self, id_: int, now_s: float = NOW_S) -> None:
        self.happens(Arrived(ticket(id_, arrived_s=now_s), BOUNDS), now_s)

    def told(self, now_s: float = NOW_S) -> list[Told]:
        return [letter for gateway, letter in self.letters(now_s) if gateway == "boss"]

    def decided(self, *decisions: Any, now_s: float = NOW_S, **values: Any) -> None:
        letter = {"sender": "boss", "epoch": 7, "talk": 3, "seq": self._seq, "decisions": decisions}
        self._seq += "seq" not in values
        self.hear(Decided(**(letter | values)), now_s)


def test_it_announces_and_then_tells_in_order() -> None:
    desk = Desk(1, 2)
    desk.happens(Left(2))
    (first,) = desk.told(NOW_S + 1.5)
    assert [type(each) for each in first.events] == [TargetReady, Arrived, Arrived, Left]
    assert (first.seq, first.talk, first.epoch, first.announced) == (0, 3, 7, True)
    assert first.events[1].ticket.arrived_s == -1.5  # type: ignore[union-attr]
    assert not desk.has_letters()
    desk.happens(Left(1))
    (second,) = desk.told()
    assert (second.seq, second.events, second.announced) == (1, (Left(1),), False)
    desk.take(Tick(), NOW_S)
    (third,) = desk.told()
    assert (third.seq, third.events) == (2, ())
    assert desk.farewell() == ("boss", Told(sender="me", epoch=7, talk=3, seq=3, leaving=True))


def test_a_long_announcement_is_several_letters() -> None:
    desk = Desk(*range(1, 2 * MAX_EVENTS))
    letters = desk.told()
    assert [(letter.seq, letter.announced) for letter in letters] == [(0, False), (1, True)]
    assert sum(len(letter.events) for letter in letters) == 2 * MAX_EVENTS


def test_what_was_decided_comes_as_effects_for_our_tickets() -> None:
    desk = Desk(1, 2, 3)
    forecast = Forecast(wait_s=1.0)
    desk.decided(Go(1, T), Stay(2, forecast), No(3, "queue_full", 4.0, forecast), Go(9, T))
    go, stay, no = desk.drain()
    assert isinstance(go, Dispatch)
    assert (go.ticket.id, go.target, go.fence) == (1, T, 7)
    assert isinstance(stay, Waits)
    assert isinstance(no, Refuse)
    assert (no.reason, no.retry_after_s) == ("queue_full", 4.0)
    assert desk.drain() == []


def test_a_gap_a_wish_or_silence_ends_the_talk_and_nothing_of_it_counts_after_that() -> None:
    for broken in ({"seq": 1}, {"again": True}):
        desk = Desk(1)
        desk.decided(**broken)  # type: ignore[arg-type]
        assert desk.is_broken(NOW_S)
        desk.decided(Go(1, T))
        assert desk.drain() == []
    desk = Desk(1)
    assert not desk.is_broken(NOW_S + SILENT_S)
    assert desk.is_broken(NOW_S + SILENT_S + 0.1)
    desk.decided(now_s=NOW_S + 0.9)
    assert desk.is_heard
    assert not desk.is_broken(NOW_S + SILENT_S + 0.1)


def test_letters_of_others_and_those_read_before_are_left_alone() -> None:
    desk = Desk(1)
    desk.decided(talk=2, seq=0)
    desk.decided(sender="another", seq=0)
    assert desk.strays == 2
    desk.decided()
    desk.decided(Go(1, T), seq=0)
    assert desk.drain() == []
    assert not desk.is_broken(NOW_S)


def test_lent_slots_are_given_at_once_and_told() -> None:
    desk = Desk()
    desk.told()
    desk.decided(lent={T: 2, "unknown": 9}, heard=1)
    desk.ask(1)
    (dispatch,) = desk.drain()
    assert isinstance(dispatch, Dispatch)
    assert (dispatch.target, dispatch.fence) == (T, 7)
    desk.own.dispatched(1, T)
    desk.ask(2)
    desk.own.dispatched(2, T)
    assert len(desk.drain()) == 1
    desk.ask(3)
    assert desk.drain() == [], "no more than was lent"
    (letter,) = desk.told()
    assert [(type(each), getattr(each, "target", "")) for each in letter.events] == [
        (Resumed, T),
        (Resumed, T),
        (Arrived, ""),
    ]


def test_what_was_used_and_not_yet_heard_of_is_not_lent_twice() -> None:
    desk = Desk()
    desk.told()
    desk.decided(lent={T: 1}, heard=1)
    desk.ask(1)
    desk.own.dispatched(1, T)
    desk.drain()
    desk.decided(lent={T: 1}, heard=1)
    desk.ask(2)
    assert desk.drain() == []
    desk.happens(Left(2))
    desk.told()
    desk.decided(lent={T: 1}, heard=2)
    desk.ask(3)
    assert len(desk.drain()) == 1


def test_nothing_is_taken_of_what_is_lent_when_the_decider_is_silent_or_one_of_ours_waits() -> None:
    desk = Desk()
    desk.decided(lent={T: 4})
    desk.ask(1, NOW_S + LENT_S + 0.1)
    assert desk.drain() == []
    desk.decided(lent={T: 4})
    desk.ask(2)
    assert desk.drain() == [], "the first still waits"
    other = Desk()
    other.decided(lent={T: 4})
    other.happens(Arrived(ticket(1, model="another"), BOUNDS))
    assert other.drain() == []


def test_a_cached_prefix_among_several_targets_is_asked_for() -> None:
    desk = Desk()
    desk.own.note(TargetReady(CountedPool(4, "pool:other").facts))
    desk.decided(lent={T: 2, "pool:other@here": 3})
    desk.happens(Arrived(ticket(1, blocks=(b"b" * 32,)), BOUNDS))
    assert desk.drain() == []
    desk.happens(Left(1))
    desk.ask(2)
    (dispatch,) = desk.drain()
    assert isinstance(dispatch, Dispatch)
    assert dispatch.target == "pool:other@here", "the freest"


def test_steps_are_told_when_asked_for_and_an_upstreams_always() -> None:
    desk = Desk()
    desk.told()
    desk.happens(Stepped("pool:m", STEP))
    desk.take(Stepped("upstream:x@here", STEP), NOW_S)
    desk.happens(BandsChanged(()))
    assert not desk.has_letters(), "it waits for the tick"
    desk.take(Tick(), NOW_S)
    (letter,) = desk.told()
    assert letter.events == (Stepped("upstream:x@here", STEP),)
    desk.decided(steps_of=(T,))
    for _ in range(MAX_EVENTS):
        assert not desk.has_letters()
        desk.happens(Stepped("pool:m", STEP))
    assert desk.told()[0].events == (Stepped(T, STEP),) * MAX_EVENTS


def test_forecasts_are_the_last_heard_and_asked_for_anew() -> None:
    desk = Desk(1)
    assert desk.forecast(1, NOW_S) == Forecast()
    desk.own.let_in(1, Forecast(wait_s=2.0))
    desk.told()
    assert desk.forecast(1, NOW_S).wait_s == 2.0
    desk.take(Tick(), NOW_S)
    assert desk.told()[0].asks == (1,)
    for id_ in range(MAX_EVENTS + 9):
        desk.forecast(id_, NOW_S)
    desk.take(Tick(), NOW_S)
    assert len(desk.told()[0].asks) == MAX_EVENTS


def test_the_view_is_the_last_one_told() -> None:
    desk = Desk()
    assert desk.view(NOW_S) is None
    view = Queue().view(NOW_S)
    desk.decided(view=view)
    desk.decided()
    assert desk.view(NOW_S) == view


def test_what_is_lent_is_not_for_one_that_must_run_alone() -> None:
    desk = Desk()
    desk.told()
    desk.decided(lent={T: 2}, heard=1)
    desk.happens(Arrived(ticket(1, arrived_s=NOW_S, alone=True), BOUNDS))
    assert desk.drain() == []
    (letter,) = desk.told()
    assert [each.ticket.alone for each in letter.events if isinstance(each, Arrived)] == [True]
