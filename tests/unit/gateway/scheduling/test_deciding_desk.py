"""The desk that decides, by hand: letters in, letters out, one queue."""

from typing import Any

from msgspec import structs

from gateway.scheduling.deciding_desk import GATHER_S, SILENT_S, DecidingDesk
from gateway.scheduling.queue_letters import Decided, Go, No, Stay, Told
from gateway.scheduling.ticket_mask import Mask
from policies.admission import Queue
from policies.admitting.effects import Dispatch, Waits
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    QueueEvent,
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

T = "pool:m@here"
NOW_S = 100.0


def masked(id_: int, owner: str, **values: Any) -> Any:
    return Mask(PEPPER, owner, "here", lambda target: f"{target}@here").ticket(
        ticket(id_, arrived_s=NOW_S if owner == "me" else 0.0, **values)
    )


def facts(slots: int) -> Any:
    return Mask(PEPPER, "me", "here", lambda target: f"{target}@here").facts(CountedPool(slots).facts)


class Desk(DecidingDesk):
    """With slots at one target, and the letters of one other gateway."""

    def __init__(self, slots: int = 1, expected: tuple[str, ...] = (), *, own: bool = True) -> None:
        super().__init__(Queue(), "me", 7, NOW_S, expected)
        self.slots = slots
        self._seqs: dict[tuple[str, int], int] = {}
        self.announce((TargetReady(facts(slots)),) if own else (), NOW_S)

    def told(self, *events: QueueEvent, sender: str = "a", talk: int = 1, now_s: float = NOW_S, **values: Any) -> None:
        seq = self._seqs.get((sender, talk), 0)
        self._seqs[sender, talk] = seq + 1
        letter = {"sender": sender, "epoch": 7, "talk": talk, "seq": seq, "events": events, "announced": seq == 0}
        self.hear(Told(**(letter | values)), now_s)

    def says(self, to: str = "a", now_s: float = NOW_S) -> list[Decided]:
        return [letter for gateway, letter in self.letters(now_s) if gateway == to]

    def decisions(self, to: str = "a") -> list[Any]:
        return [each for letter in self.says(to) for each in letter.decisions]


def arrived(id_: int, owner: str = "a", **values: Any) -> Arrived:
    return Arrived(masked(id_, owner, **values), BOUNDS)


def test_each_hears_of_its_own() -> None:
    desk = Desk()
    desk.told(arrived(1), arrived(2))
    desk.take(arrived(3, "me"), NOW_S)
    go, stay = desk.decisions()
    assert (go, stay.id, stay.forecast.position) == (Go(1, T), 2, 1)
    assert [type(each) for each in desk.drain()] == [Waits]
    desk.told(Began(1), Grew(1, 5), Ended(1, Served(10, 0, 5)))
    assert desk.decisions() == [Go(2, T)]
    desk.told(Left(2))
    (mine,) = desk.drain()
    assert isinstance(mine, Dispatch)
    assert (mine.ticket.id, mine.fence) == (3, 7)
    assert desk.gateways() == ("me", "a")


def test_a_taken_slot_is_given_out_again() -> None:
    desk = Desk()
    desk.told(arrived(1))
    desk.decisions()
    desk.told(SlotTaken(1))
    assert desk.decisions() == []
    step = Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=0)
    desk.take(Stepped(T, step), NOW_S)
    assert desk.decisions() == [Go(1, T)]


def test_a_refusal_goes_to_its_owner() -> None:
    desk = Desk(own=False)
    desk.told(arrived(1))
    (no,) = desk.decisions()
    assert isinstance(no, No)
    assert no.reason == "no_capacity"
    desk.take(arrived(2, "me"), NOW_S)
    assert desk.drain()


def test_nobody_speaks_for_anothers_ticket() -> None:
    desk = Desk()
    desk.told(arrived(1))
    desk.told(arrived(2, "b"), sender="b")
    desk.told(Left(1), sender="b")
    desk.told(Ended(9, Served()), sender="b")
    desk.told(arrived(3, "a"), sender="b")
    assert desk.strays == 3
    desk.told(BandsChanged((BandTerms("", 1.0, lends=False),)), sender="b")
    assert desk.strays == 4
    assert desk.queue.view(NOW_S).running == 1


def test_the_later_of_two_with_one_number_is_turned_away() -> None:
    desk = Desk()
    desk.told(arrived(1))
    desk.told(arrived(1, "b"), sender="b")
    assert [type(each) for each in desk.decisions("b")] == [No]
    desk.take(arrived(1, "me"), NOW_S)
    assert desk.strays == 2


def test_a_gap_asks_for_everything_again_and_what_is_late_is_a_stray() -> None:
    desk = Desk()
    desk.told(arrived(1))
    desk.told(arrived(2), seq=5)
    (letter,) = desk.says()
    assert letter.again
    desk.told(arrived(3), seq=1)
    assert desk.queue.view(NOW_S).running + desk.queue.waiting() == 1, "what follows a gap is not taken"
    desk.told(seq=0)
    assert desk.strays == 1
    desk.told(arrived(2), talk=0)
    assert desk.strays == 2


def test_one_in_the_middle_of_a_talk_is_asked_to_begin_anew() -> None:
    desk = Desk()
    desk.told(arrived(1), seq=3)
    (letter,) = desk.says()
    assert (letter.again, letter.talk) == (True, 1)
    assert not desk.has_letters()


def test_a_new_announcement_replaces_what_was_known() -> None:
    desk = Desk(slots=3)
    desk.told(*(arrived(id_) for id_ in range(1, 7)))
    desk.decisions()
    desk.told(
        Resumed(masked(1, "a"), T, 3),  # as known
        Resumed(masked(2, "a")),  # the word to run was lost
        Resumed(masked(4, "a"), T, 1),  # it runs, and we did not know
        arrived(5),  # as known, and our answer was lost
        arrived(7),
        talk=2,
    )
    view = desk.queue.view(NOW_S)
    assert (view.running, view.waiting) == (3, 2)
    decided = desk.decisions()
    assert [each.id for each in decided if isinstance(each, Go)] == [5]
    assert {each.id for each in decided if isinstance(each, Stay)} == {7}
    desk.told(*(Left(id_) for id_ in (1, 2, 4, 5, 7)), talk=2)
    assert (desk.queue.view(NOW_S).running, desk.queue.waiting()) == (0, 0)
    assert desk.strays == 0


def test_what_is_decided_while_a_talk_begins_is_told_in_it_and_holds() -> None:
    desk = Desk()
    desk.told(arrived(1), arrived(2), arrived(3))
    desk.told(arrived(4, "b"), sender="b")
    desk.decisions()
    desk.told(talk=2, announced=False)
    desk.take(TargetLost(facts(1)), NOW_S)
    desk.take(TargetReady(facts(2)), NOW_S)
    assert desk.decisions() == [Go(2, T)]
    desk.take(TargetLost(facts(1)), NOW_S)
    desk.told(talk=2, announced=False, now_s=NOW_S + 40.0)
    desk.told(sender="b", now_s=NOW_S + 40.0)
    desk.take(Tick(), NOW_S + 40.0)
    assert [type(each) for each in desk.decisions("a")] == [No]
    desk.told(
        Resumed(masked(1, "a"), T),
        Resumed(masked(2, "a")),
        Resumed(masked(3, "a")),
        talk=2,
        announced=True,
        now_s=NOW_S + 40.0,
    )
    assert desk.decisions() == []
    assert desk.queue.view(NOW_S + 40.0).running == 2


def test_nothing_is_given_out_before_all_present_have_announced() -> None:
    desk = Desk(slots=2, expected=("me", "a", "b"))
    desk.told(TargetReady(facts(2)), arrived(1), Resumed(masked(2, "a"), T))
    desk.told(Grew(2, 9))
    desk.take(Tick(), NOW_S + 0.1)
    assert desk.decisions() == []
    desk.told(Resumed(masked(3, "b")), arrived(4, "b"), sender="b")
    go, stay = desk.decisions("b")
    assert (go, stay.id) == (Go(3, T), 4)
    view = desk.queue.view(NOW_S + 0.1)
    assert (view.running, view.waiting) == (2, 2)


def test_who_does_not_announce_is_waited_for_only_so_long() -> None:
    desk = Desk(expected=("a", "b"))
    desk.told(arrived(1))
    desk.take(Tick(), NOW_S + GATHER_S - 0.01)
    assert desk.decisions() == []
    desk.take(Tick(), NOW_S + GATHER_S)
    assert desk.decisions() == [Go(1, T)]


def test_one_that_goes_while_all_are_awaited_takes_its_own_along() -> None:
    desk = Desk(expected=("a", "b"))
    desk.told(arrived(1))
    desk.told(leaving=True)
    desk.told(arrived(2, "b"), sender="b")
    assert desk.decisions("b") == [Go(2, T)]


def test_one_that_was_let_in_and_not_told_so_is_told_again() -> None:
    desk = Desk()
    desk.told(arrived(1), arrived(2))
    desk.decisions()
    desk.told(arrived(1), arrived(2), talk=2)
    assert [(type(each), each.id) for each in desk.decisions()] == [(Go, 2), (Stay, 1)], "the word was lost"
    desk.told(Resumed(masked(2, "a"), T), arrived(1), talk=3)
    assert [(type(each), each.id) for each in desk.decisions()] == [(Stay, 1)]


def test_a_silent_gateway_is_gone() -> None:
    desk = Desk(own=False)
    desk.told(TargetReady(facts(1)), arrived(1), arrived(2))
    desk.take(Tick(), NOW_S + SILENT_S)
    assert desk.queue.waiting() == 1
    desk.take(Tick(), NOW_S + SILENT_S + 0.1)
    assert desk.gateways() == ("me",)
    view = desk.queue.view(NOW_S + SILENT_S)
    assert (view.waiting, view.running, view.targets[0].ready) == (0, 0, False)
    desk.drop("a", NOW_S + SILENT_S)
    desk.told(arrived(3), now_s=NOW_S + 3.0)
    (letter,) = desk.says()
    assert letter.again, "it lives after all, and is to announce itself"


def test_free_slots_are_lent_in_equal_parts_until_somebody_waits() -> None:
    desk = Desk(slots=5)
    desk.told(TargetReady(facts(5)))
    desk.told(sender="b")
    (letter,), (blind,) = (
        desk.says(),
        [*desk.says("b"), structs.replace(Decided(sender="", epoch=0, talk=0, seq=0))][:1],
    )
    assert (letter.lent, blind.lent) == ({T: 1}, {})
    desk.take(Tick(), NOW_S)
    assert desk.says()[0].lent == {T: 1}
    for id_ in range(10, 15):
        desk.take(arrived(id_, "me"), NOW_S)
    assert not desk.has_letters()
    desk.take(arrived(15, "me"), NOW_S)
    assert desk.has_letters(), "called back at once"
    (letter,) = desk.says()
    assert letter.lent == {}
    desk.take(arrived(16, "me"), NOW_S)
    assert not desk.has_letters()


def test_nothing_is_lent_while_a_band_keeps_slots() -> None:
    desk = Desk(slots=4)
    desk.take(BandsChanged((BandTerms("", 1.0, lends=False),)), NOW_S)
    desk.told(TargetReady(facts(4)))
    assert desk.says()[0].lent == {}


def test_steps_come_from_one_and_an_upstreams_from_all() -> None:
    desk = Desk(own=False)
    upstream = structs.replace(facts(1), id="upstream:x")
    for sender in ("b", "a"):
        desk.told(TargetReady(facts(1)), TargetReady(upstream), sender=sender)
    assert (desk.says("a")[0].steps_of[0], desk.says("b")) == (T, [])
    step = Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=1)
    desk.told(Stepped(T, structs.replace(step, step_s=9.0)), sender="b")
    assert not desk.queue.targets()[0].decode_s
    desk.told(Stepped(T, step), Stepped("upstream:x", step))
    desk.told(Stepped("upstream:x", step), sender="b")
    assert all(each.decode_s for each in desk.queue.targets())


def test_forecasts_are_told_when_asked_for_and_the_view_each_second() -> None:
    desk = Desk()
    desk.told(arrived(1), arrived(2))
    desk.told(sender="b")
    first = desk.says(now_s=NOW_S)
    assert first[0].view is not None
    assert first[0].view.decided_by == "me"
    desk.told(asks=(2,))
    (letter,) = desk.says(now_s=NOW_S + 0.5)
    assert letter.view is None
    assert letter.decisions[0].forecast.position == 1  # type: ignore[union-attr]
    desk.take(arrived(5, "me"), NOW_S + 0.5)
    assert desk.forecast(5, NOW_S + 0.5).position == 2
    desk.told(now_s=NOW_S + 1.0)
    desk.take(Tick(), NOW_S + 1.0)
    assert {gateway: letter.view is not None for gateway, letter in desk.letters(NOW_S + 1.0)} == {"a": True, "b": True}


def test_one_that_is_alone_is_no_decider_of_others() -> None:
    desk = DecidingDesk(Queue(), "me", 0, NOW_S, part_of=lambda known: structs.replace(known, slots=1))
    desk.announce((TargetReady(facts(4)), arrived(1, "me"), arrived(2, "me")), NOW_S)
    first, *_ = desk.drain()
    assert isinstance(first, Dispatch)
    assert first.fence == 0
    assert desk.queue.waiting() == 1
    assert desk.view(NOW_S).decided_by == ""


def test_nothing_is_lent_of_a_target_on_which_one_runs_alone() -> None:
    desk = Desk(slots=4)
    desk.told(TargetReady(facts(4)))
    desk.take(arrived(10, "me", alone=True), NOW_S)
    desk.take(Tick(), NOW_S)
    assert [letter.lent for letter in desk.says()] == [{}]
    desk.take(Ended(10, Served()), NOW_S)
    desk.take(Tick(), NOW_S)
    assert desk.says()[0].lent == {T: 2}


def test_anothers_that_must_run_alone_waits_until_ours_has_ended() -> None:
    desk = Desk(slots=4)
    desk.told(TargetReady(facts(4)))
    desk.take(arrived(10, "me"), NOW_S)
    desk.told(arrived(20, alone=True))
    assert [type(each) for each in desk.decisions()] == [Stay]
    desk.take(Ended(10, Served()), NOW_S)
    assert [type(each) for each in desk.decisions()] == [Go]
