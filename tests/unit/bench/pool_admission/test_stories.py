"""The client's side and the tape, joined."""

from typing import Any

from bench.pool_admission.load import Answered, says_something
from bench.pool_admission.stories import Story, stories


def line(kind: str, at_s: float, ticket: int = 1, **facts: Any) -> dict[str, Any]:
    told = {"wait_s": 1.0, "likely_s": 1.5, "p90_s": 3.0, "prefill_s": 0.1}
    more = told if kind in ("waits", "refuse") else {}
    return {"kind": kind, "at_s": at_s, "ticket": ticket, **more, **facts}


def arrived(at_s: float, ticket: int = 1, request: str = "r1") -> dict[str, Any]:
    return line("arrived", at_s, ticket, team="light", prompt=30, promise_s=2.0, request=request)


def test_a_request_that_waited_and_was_served() -> None:
    answer = Answered(team="light", at_s=0.0, sent_s=9.9, request="r1", status=200, first_s=11.5, end_s=12.0)
    tape = [
        line("stepped", 1.0, 0),
        arrived(10.0),
        line("waits", 10.0),
        line("dispatch", 11.0),
        line("began", 11.4),
        line("ended", 12.0, prompt=30, cached=2, output=9),
    ]
    (story,) = stories(tape, [answer])
    assert story.answer is answer
    assert story.waited
    assert story.actual_wait_s == 1.0
    assert (story.wait_s, story.likely_s, story.output_tokens) == (1.0, 1.5, 9)
    assert story.slot_s(0, 100) == 1.0
    assert story.slot_s(11.5, 11.75) == 0.25
    assert story.in_time(100) is True


def test_refusals_at_once_and_late() -> None:
    tape = [
        arrived(1.0, 1),
        line("refuse", 1.0, 1, reason="deadline_unreachable", retry_after_s=2.0),
        arrived(1.0, 2),
        line("waits", 1.0, 2),
        line("refuse", 2.5, 2, reason="expired_in_queue", retry_after_s=None),
    ]
    early, late = stories(tape, [])
    assert (early.refused_late, late.refused_late) == (False, True)
    assert early.actual_wait_s is None
    assert early.slot_s(0, 10) == 0.0
    assert early.retry_after_s == 2.0


def test_who_went_away_has_a_slot_only_while_he_was_there() -> None:
    (story,) = stories([arrived(1.0), line("dispatch", 2.0), line("left", 5.0)], [])
    assert story.slot_s(0, 4.0) == 2.0
    assert story.slot_s(0, 9.0) == 3.0


def test_a_promise_is_open_until_its_time_is_over() -> None:
    story = Story(team="light", arrived_s=1.0, prompt_tokens=3, promise_s=2.0)
    assert story.in_time(2.5) is None
    assert story.in_time(3.5) is False
    assert Story(team="light", arrived_s=1.0, prompt_tokens=3, promise_s=None).in_time(9.0) is True
    story.answer = Answered(team="light", at_s=0.0, sent_s=0.5, first_s=3.0)
    assert story.in_time(9.0) is False  # the client's own time counts


def test_what_counts_as_a_first_token() -> None:
    assert says_something(b'data: {"choices":[{"text":" a"}]}\n')
    assert says_something(b'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n')
    assert not says_something(b'data: {"choices":[{"text":""}]}\n')
    assert not says_something(b'data: {"choices":[]}\n')
    assert not says_something(b"data: [DONE]\n")
    assert not says_something(b": queued\n")
