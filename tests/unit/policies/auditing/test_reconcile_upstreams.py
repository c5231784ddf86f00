"""What an upstream says it served against what was sent there."""

from policies.auditing.reconcile_records import Counted, LineResult
from policies.auditing.reconcile_upstreams import UpstreamBook

NAME = "upstream:second"
ANSWERED = LineResult(target=NAME, taken_by="upstream", finish="stop")
CUT = LineResult(target=NAME, taken_by="upstream")
UNANSWERED = LineResult(target=NAME)


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.000000Z"


def count(taken: int, open_runs: int = 0, life: str = "x", since: float = 0.0) -> Counted:
    return Counted(target=NAME, life=life, taken=taken, open=open_runs, since_unix_s=since)


def book() -> UpstreamBook:
    made = UpstreamBook(NAME)
    made.begin_process("a")
    made.counted("a", at(0), count(7))
    return made


def told(made: UpstreamBook) -> list[int]:
    return [each.count for each in made.differences({})]


def test_no_count_no_difference() -> None:
    assert UpstreamBook(NAME).differences({}) == []


def test_what_went_through_the_gate_is_no_difference_and_the_past_is_settled() -> None:
    made = book()
    for _ in range(3):
        made.ended("a", ANSWERED)
    made.counted("a", at(5), count(10))
    made.end("a", 0)
    assert told(made) == []
    assert [each.taken for each in made.newest()] == [10]


def test_what_went_past_it_is_told_once_between_two_counts() -> None:
    made = book()
    made.ended("a", ANSWERED)
    made.counted("a", at(5), count(8))
    made.counted("a", at(6), count(10))
    made.ended("a", ANSWERED)
    made.counted("a", at(7), count(11))
    made.end("a", 0)
    (past,) = made.differences({})
    assert (past.count, past.since, past.until, past.target, past.who) == (2, at(5), at(6), NAME, "a")


def test_what_it_may_have_served_is_no_difference() -> None:
    made = book()
    made.ended("a", UNANSWERED)
    made.ended("a", CUT)
    made.counted("a", at(5), count(10, open_runs=1))
    made.lost("a", 2)
    made.counted("a", at(6), count(11))
    made.end("a", 0)
    assert told(made) == []


def test_cut_ones_of_this_process_may_be_noticed_late() -> None:
    made = UpstreamBook(NAME)
    made.ended("a", CUT)
    made.begin_process("a")
    made.ended("a", CUT)
    made.ended("a", ANSWERED)
    made.counted("a", at(0), count(2))
    made.counted("a", at(1), count(3))
    made.counted("a", at(2), count(4))
    made.end("a", 0)
    assert told(made) == [1]


def test_a_process_that_began_after_the_first_count_begins_with_nothing() -> None:
    made = book()
    made.ended("a", ANSWERED)
    made.counted("a", at(5), count(1, life="y", since=1_767_225_603.0))  # 2026-01-01T00:00:03Z
    made.counted("a", at(6), count(3, life="y", since=1_767_225_603.0))
    made.counted("a", at(7), count(400, life="z"))  # has been there all the time
    made.counted("a", at(8), count(400, life="w", since=1e300))  # no time at all
    made.end("a", 0)
    assert told(made) == [2]


def test_other_chains_account_with_what_they_have_by_their_next_count() -> None:
    made = book()
    made.ended("b", ANSWERED)
    made.counted("b", at(4), count(8))
    made.ended("b", ANSWERED)
    made.counted("a", at(5), count(9))
    made.counted("b", at(6), count(9))
    made.end("a", 0)
    made.end("b", 0)
    made.ended("c", ANSWERED)
    made.end("c", 1)
    assert told(made) == []
    made.counted("a", at(8), count(12))
    assert told(made) == [1]


def test_a_count_later_than_another_growing_chain_was_read_is_left_for_the_next_time() -> None:
    made = book()
    made.ended("b", ANSWERED)
    made.counted("a", at(5), count(9))
    made.end("b", 0)
    assert made.differences({"a": at(5), "b": at(4), "elsewhere": at(1)}) == []
    assert [each.count for each in made.differences({"a": at(5), "b": at(6)})] == [1]
