"""Who was given a time, who came, and who was served then."""

from bench.pool_admission.retries import Tries, first_tries, told


def tries(*statuses: int, told_ms: float | None = 1000.0) -> Tries:
    made = Tries("flood")
    for status in statuses:
        made.statuses.append(status)
        made.told_ms.append(told_ms if status == 429 else None)
        made.reasons.append("deadline_unreachable" if status == 429 else "")
        made.answered_s.append(0.0)
    return made


def test_only_who_was_given_a_time_and_came_back_counts() -> None:
    calls = [
        tries(200),  # never turned away
        tries(429, 200),  # came back and was served
        tries(429, 429, 200),  # served, but not at the first try then
        tries(429),  # its moment is still to come
        tries(429, 200, told_ms=None),  # was told no time
        tries(500, 200),  # something else
        Tries("flood"),  # not answered yet
    ]
    figure = first_tries(calls)
    assert (figure.value, figure.count) == (0.5, 2)
    report = told(calls)
    assert report["given_a_time_and_came"] == 2
    assert report["refused_then"] == {"deadline_unreachable": 1}
    assert report["told_no_time"] == 1
    assert report["first_try_served"] == 1
    assert report["served_in_the_end"] == 5


def test_a_moment_after_the_round_does_not_count() -> None:
    late = tries(429, 200, told_ms=90_000.0)
    late.round_s = 80.0
    assert first_tries([late]).count == 0
    late.round_s = 110.0
    assert first_tries([late]).count == 1


def test_nobody_at_all() -> None:
    assert first_tries([]).count == 0
    assert told([])["tries_a_call"] == 0
