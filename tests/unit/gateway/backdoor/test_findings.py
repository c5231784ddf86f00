"""Invariant: an upstream that was not found closed by its last whole answer is held."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.backdoor.findings import OPEN, UNCHECKED, BackDoors, Finding, Look, Verdict
from gateway.backdoor.suspects import Suspect


def suspect(address: str = "10.0.0.9", port: int = 11434, upstreams: tuple[str, ...] = ("up",)) -> Suspect:
    return Suspect(
        address=address, port=port, here=False, kind="ollama", certain=True, urls=("http://x",), upstreams=upstreams
    )


def look(verdict: Verdict, whom: Suspect | None = None) -> Look:
    whom = whom or suspect()
    finding = Finding(address=whom.address, port=whom.port, kind=whom.kind, route="/api/chat", status=400)
    return Look(suspect=whom, verdict=verdict, findings=(finding,) if verdict == "open" else ())


def test_a_new_suspect_is_unchecked_and_held() -> None:
    doors = BackDoors([suspect()])
    assert doors.held() == {"up": UNCHECKED}
    assert doors.unchecked() == (suspect(),)
    assert doors.findings() == ()


def test_open_is_told_once_and_closed_once() -> None:
    doors = BackDoors([suspect()])
    first = doors.take([look("open")])
    assert (first.opened, first.closed) == ((look("open"),), ())
    assert doors.held() == {"up": OPEN}
    assert len(doors.findings()) == 1
    again = doors.take([look("open")])
    assert (again.opened, again.closed) == ((), ())
    closed = doors.take([look("closed")])
    assert (closed.opened, closed.closed) == ((), (look("closed"),))
    assert (doors.held(), doors.findings(), doors.unchecked()) == ({}, (), ())
    assert doors.take([look("closed")]).closed == ()


def test_silence_changes_nothing() -> None:
    doors = BackDoors([suspect()])
    doors.take([look("silent")])
    assert doors.held() == {"up": UNCHECKED}
    doors.take([look("open")])
    doors.take([look("silent")])
    assert doors.held() == {"up": OPEN}
    doors.take([look("closed")])
    doors.take([look("silent")])
    assert doors.held() == {}


def test_a_suspect_that_is_none_any_more_is_closed() -> None:
    doors = BackDoors([suspect(), suspect("10.0.0.8", upstreams=())])
    doors.take([look("open")])
    assert doors.expect([suspect("10.0.0.8", upstreams=())]) == (look("open"),)
    assert doors.held() == {}
    assert doors.expect([]) == ()


def test_what_is_known_outlives_a_round() -> None:
    doors = BackDoors([suspect()])
    doors.take([look("open")])
    assert doors.expect([suspect()]) == ()
    assert doors.held() == {"up": OPEN}


def test_two_upstreams_of_one_address_are_both_held() -> None:
    one, other = suspect(upstreams=("one",)), suspect(upstreams=("other",))
    doors = BackDoors([one, other])
    doors.take([look("closed", one)])
    assert doors.held() == {"other": UNCHECKED}
    doors.take([look("open", other)])
    assert doors.held() == {"other": OPEN}


def test_an_upstream_behind_two_sockets_is_held_for_the_worse() -> None:
    doors = BackDoors([suspect("0.0.0.0"), suspect("::")])
    doors.take([look("open", suspect("0.0.0.0"))])
    assert doors.held() == {"up": OPEN}
    doors.take([look("closed", suspect("::"))])
    assert doors.held() == {"up": OPEN}


def test_what_leads_to_no_upstream_holds_nothing() -> None:
    stranger = suspect(upstreams=())
    doors = BackDoors([stranger])
    assert doors.unchecked() == ()
    doors.take([look("open", stranger)])
    assert doors.held() == {}
    assert len(doors.findings()) == 1


def test_an_answer_from_nobody_expected_is_noted_too() -> None:
    doors = BackDoors()
    assert doors.take([look("open")]).opened == (look("open"),)
    assert doors.take([look("silent", suspect("10.9.9.9"))]).opened == ()


@given(st.lists(st.sampled_from(["open", "closed", "silent"]), max_size=12))
def test_only_closed_by_the_last_whole_answer_is_free(verdicts: list[Verdict]) -> None:
    doors = BackDoors([suspect()])
    for verdict in verdicts:
        doors.take([look(verdict)])
    whole = [each for each in verdicts if each != "silent"]
    assert ("up" in doors.held()) is (not whole or whole[-1] == "open")
