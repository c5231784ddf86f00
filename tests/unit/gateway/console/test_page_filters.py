"""Times, numbers and durations as pages write them."""

import math

import pytest
from markupsafe import Markup

from gateway.console.page_filters import NOTHING, duration, number, printed, when

AT = '<time datetime="2026-11-23T06:05:04.000000Z">2026-11-23 06:05:04Z</time>'
AT_S = 1795413904


@pytest.mark.parametrize(
    "value",
    [
        AT_S,
        float(AT_S),
        AT_S * 10**6,
        AT_S * 10**9,
        "2026-11-23T06:05:04Z",
        "2026-11-23T07:05:04+01:00",
        "2026-11-23T06:05:04",
    ],
)
def test_a_moment_is_told_in_utc_whatever_counts_it(value):
    assert when(value) == AT


def test_what_is_no_moment_is_told_as_it_is_and_escaped_later():
    assert when(None) == NOTHING
    assert when("<b>\x1b") == "<b>\\x1b"
    assert not isinstance(when("<b>"), Markup)
    assert when(math.inf) == "inf"
    assert when(1e300) == "1e+300"


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, None, NOTHING),
        (math.nan, None, NOTHING),
        (1234567, None, "1 234 567"),
        (0.5, None, "0.5"),
        (2.0, None, "2"),
        (1234.5678, None, "1 234.568"),
        (1.239, 1, "1.2"),
        (0, None, "0"),
    ],
)
def test_a_number_is_short_and_its_thousands_apart(value, digits, shown):
    assert number(value, digits) == shown.replace(" ", "\N{NARROW NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, NOTHING),
        (math.inf, NOTHING),
        (0, "0 s"),
        (0.254, "0.25 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (725, "12 min 5 s"),
        (3600, "1 h"),
        (7325, "2 h 2 min"),
        (86400 * 3 + 4 * 3600, "3 d 4 h"),
        (86400, "1 d"),
        (86405, "1 d"),
        (-90, "-1 min 30 s"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, shown):
    assert duration(seconds) == shown


def test_everything_printed_hides_nothing_and_markup_stays():
    assert printed("a\u202eb") == "a\\u202eb"
    assert printed(Markup("<b>")) == Markup("<b>")
    assert printed(7) == 7
