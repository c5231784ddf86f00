"""X-RateLimit-*: the tightest of the caller's own limits."""

import pytest

from gateway.dialects.limit_headers import duration_text, limit_headers
from policies.standing import Standing


def test_nothing_limited_says_nothing() -> None:
    assert limit_headers(()) == ()


def test_the_tightest_of_each_kind_is_shown() -> None:
    standings = (
        Standing("requests", "address", 3000, 599, 0.02),
        Standing("requests", "key", 600, 3, 5.7),
        Standing("prompt_tokens", "team", 9000, 8000, 61.0),
        Standing("output_tokens", "key", 5000, 100, 60.2),
    )
    assert dict(limit_headers(standings)) == {
        "X-RateLimit-Limit-Requests": "600",
        "X-RateLimit-Remaining-Requests": "3",
        "X-RateLimit-Reset-Requests": "6s",
        "X-RateLimit-Limit-Tokens": "5000",
        "X-RateLimit-Remaining-Tokens": "100",
        "X-RateLimit-Reset-Tokens": "1m1s",
    }


def test_what_others_use_is_not_told() -> None:
    assert limit_headers((Standing("requests", "all", 9, 1, 1.0), Standing("prompt_tokens", "model", 9, 1, 1.0))) == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0ms"),
        (0.0201, "21ms"),
        (0.9999, "1s"),
        (1.0, "1s"),
        (59.1, "1m0s"),
        (360.0, "6m0s"),
        (86399.5, "24h0m0s"),
    ],
)
def test_durations_read_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
