"""Which limit, whose, and when it frees."""

import pytest

from gateway.dialects.limit_texts import beyond_text, limit_text, overload_text, quota_text, wait_text
from policies.errors import BeyondLimit, Overloaded, QuotaExceeded, RateLimited


def test_words() -> None:
    rate = RateLimited("r", limit="6 requests a minute for this key", retry_after_s=9.2)
    assert limit_text(rate) == "rate limit reached: 6 requests a minute for this key; try again in 10 seconds"
    quota = QuotaExceeded("r", limit="9 tokens a day for team a", retry_after_s=0.3)
    assert quota_text(quota) == "quota used up: 9 tokens a day for team a; it begins anew in 1 second"
    beyond = BeyondLimit("r", limit="9 tokens a day for team a")
    assert beyond_text(beyond) == (
        "the request is larger than the limit allows at all: 9 tokens a day for team a; "
        "shorten the prompt or the answer asked for"
    )


def test_the_queue_asks_nobody_back_for_whom_it_has_no_moment() -> None:
    assert overload_text(Overloaded("r", retry_after_s=0.2)) == "server busy, please try again in 1 second"
    none = overload_text(Overloaded("r", retry_after_s=None))
    assert none == "server busy: this request cannot be served in time within the next two minutes"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (119.1, "2 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (22_620, "7 hours"),
        (172_800, "2 days"),
        (2_592_001, "31 days"),
    ],
)
def test_a_wait_is_told_as_a_reader_would_say_it(seconds: float, words: str) -> None:
    assert wait_text(seconds) == words
