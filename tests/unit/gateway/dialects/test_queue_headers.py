"""X-Queue-*: one row for each fact, times on the ladder."""

from gateway.dialects.queue_headers import queue_headers
from policies.admitting.effects import Forecast

FORECAST = Forecast(wait_s=2.1, likely_s=3.3, p90_s=6.2, position=3)


def test_who_waited_is_told_all() -> None:
    assert queue_headers("queued", FORECAST, 1.6) == (
        ("X-Admission-Decision", "queued"),
        ("X-Queue-Predicted-Wait-Ms", "3000"),
        ("X-Queue-Predicted-Wait-P90-Ms", "7000"),
        ("X-Queue-Position", "3"),
        ("X-Queue-Wait-Ms", "2000"),
    )


def test_who_waits_still_has_no_wait_to_tell() -> None:
    assert "X-Queue-Wait-Ms" not in dict(queue_headers("queued", FORECAST, None))


def test_who_had_a_slot_at_once_is_told_zeros() -> None:
    told = dict(queue_headers("admitted", Forecast(), 0.004))
    assert set(told.values()) == {"admitted", "0"}


def test_the_long_wait_is_never_the_shorter_one() -> None:
    told = dict(queue_headers("queued", Forecast(wait_s=4.0, p90_s=1.0), None))
    assert told["X-Queue-Predicted-Wait-P90-Ms"] == told["X-Queue-Predicted-Wait-Ms"] == "5000"
