"""Invariant: what reached the queue is an arrival at its own moment, once; what did not is none."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.simulating import logged_traffic
from gateway.simulating.arrivals import Arrival
from gateway.simulating.logged_traffic import ANY_LENGTH, LoggedRequest, NoTraffic, arrivals_of, read_log, recorded_s
from gateway.simulating.time_window import Window
from policies.audit_chain import GENESIS
from policies.audit_record import Action, Actor, Decision, RequestFacts, Result, Stamp, request_record
from tests.chain_lines import chain_line

ALWAYS = Window(0, 10**6)
SERVED = Result(
    status=200, prompt_tokens=12, cached_tokens=4, output_tokens=7, queued_ms=500, ttft_ms=900, dur_ms=2000, target="w"
)


def line(
    event: str = "request.completed",
    at_s: float = 10,
    result: Result | None = SERVED,
    effect: Any = "allow",
    **facts: Any,
) -> bytes:
    action = Action(
        route=facts.pop("route", "/api/chat"), model=facts.pop("model", "m"), base_model=facts.pop("base_model", "")
    )
    about = RequestFacts(
        request_id="r", actor=Actor(kind="key", team=facts.pop("team", "a")), action=action, params=facts
    )
    record = request_record(event, Stamp(int(at_s * 1e6), 1, "b"), about, Decision(effect=effect), result)
    return chain_line(record, 0, GENESIS)


def requests(*lines: bytes) -> list[LoggedRequest]:
    return read_log(lines, ALWAYS).requests


def test_a_served_request_came_as_long_before_its_record_as_it_took() -> None:
    assert requests(line(max_output_tokens=64)) == [
        LoggedRequest(
            at_s=8,
            team="a",
            model="m",
            prompt_tokens=12,
            cached_tokens=4,
            output_tokens=7,
            output_cap=64,
            queued_s=0.5,
            first_s=0.9,
            took_s=2,
            target="w",
        )
    ]


def test_an_adapter_s_request_is_its_base_models() -> None:
    assert requests(line(model="sql:1", base_model="m"))[0].model == "m"


@pytest.mark.parametrize("event", ["request.failed", "request.aborted", "request.cut"])
def test_what_ran_and_was_cut_off_counts_with_what_it_got(event: str) -> None:
    assert requests(line(event, effect="error"))[0].output_tokens == 7


NEVER_RAN = Result(status=429, dur_ms=3000)


def test_what_the_queue_turned_away_or_let_wait_in_vain_counts() -> None:
    shed, left = requests(
        line("request.shed", 20, NEVER_RAN, "shed"), line("request.aborted", 10, NEVER_RAN, "allow", team="b")
    )[::-1]
    assert (shed.at_s, shed.target, shed.team) == (17, "", "a")
    assert (left.at_s, left.team) == (7, "b")


def test_what_never_reached_the_queue_does_not() -> None:
    lines = [
        line("request.authorized", result=None),
        line("request.denied", result=NEVER_RAN, effect="deny"),
        line("request.aborted", result=NEVER_RAN, effect="error"),
        line("request.failed", result=NEVER_RAN, effect="error"),
        line("request.shed", result=NEVER_RAN, effect="shed", team=""),
        line("request.shed", result=NEVER_RAN, effect="shed", model=""),
        line("request.completed", result=Result(status=200, dur_ms=1)),
    ]
    assert requests(*lines) == []


def test_what_is_left_out_is_counted() -> None:
    lines = [
        line("request.limited", result=NEVER_RAN, effect="limit"),
        b"no record\n",
        b'{"ts":1,"event":"request.shed"}',
        b'{"event":"request.shed"}',
        b'{"ts":"1970-01-01T00:00:01.000000Z","event":"gateway.started","mono_ns":1}',
    ]
    logged = read_log(lines, ALWAYS)
    assert (logged.requests, logged.limited, logged.unreadable) == ([], 1, 3)


def test_the_window_is_of_arrivals() -> None:
    lines = [line(at_s=at_s) for at_s in (10, 11.5, 12, 13, 14)]
    assert [each.at_s for each in read_log(lines, Window(9.5, 12)).requests] == [9.5, 10, 11]


def test_the_busiest_model_comes_first_and_embeddings_aside() -> None:
    lines = [line(model="x"), line(model="y"), line(model="y"), line(model="x", route="/v1/embeddings")] + [
        line(model="z", route="/api/embed")
    ] * 3
    logged = read_log(lines, ALWAYS)
    assert logged.models() == [("y", 2), ("x", 1)]
    assert len(logged.of_model("x")) == 1


def test_a_log_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged_traffic, "MAX_ROWS", 2)
    assert len(requests(*[line()] * 2)) == 2
    with pytest.raises(NoTraffic, match="more than 2 requests of that time: name a shorter stretch"):
        requests(*[line()] * 3)


def test_lengths_of_what_never_ran_are_its_teams() -> None:
    ran = requests(*[line(at_s=5 + n, team="ab"[n % 2], result=_served(n)) for n in range(40)])
    turned_away = requests(*[line("request.shed", 50, NEVER_RAN, "shed", team="abc"[n % 3]) for n in range(60)])
    arrivals, drawn = arrivals_of(ran + turned_away, random.Random(1))
    assert drawn == 60
    assert arrivals[0] == Arrival(
        at_s=0, team="a", prompt_tokens=100, cached_tokens=0, output_tokens=1, output_cap=ANY_LENGTH
    )
    lengths = {team: {each.output_tokens for each in arrivals[40:] if each.team == team} for team in "abc"}
    assert {number % 2 for number in lengths["a"]} == {1}
    assert {number % 2 for number in lengths["b"]} == {0}
    assert {number % 2 for number in lengths["c"]} == {0, 1}  # nothing of it ran: any team's
    assert len(lengths["a"]) > 5
    assert arrivals_of(ran + turned_away, random.Random(1))[0] == arrivals


def _served(number: int) -> Result:
    return structs.replace(SERVED, prompt_tokens=100 + number, output_tokens=1 + number, cached_tokens=number)


def test_nothing_that_ran_is_no_traffic() -> None:
    with pytest.raises(NoTraffic, match="holds no request of that time that ran"):
        arrivals_of(requests(line("request.shed", 20, NEVER_RAN, "shed")), random.Random(1))


def test_when_a_record_was_written() -> None:
    assert recorded_s(line(at_s=12.5)) == 12.5
    assert recorded_s(b"{}") is None


@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: b'{"ts":"1970-01-01T00:00:01Z",' + text.encode())
)
def test_no_line_does_more_than_be_counted(data: bytes) -> None:
    logged = read_log([data], ALWAYS)
    assert logged.unreadable + len(logged.requests) <= 1
