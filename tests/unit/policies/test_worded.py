"""A sentence is the English that commands print, wherever it is put; its key and values stay with it."""

import pytest

from policies.worded import Worded, line_of, worded

NO_KEY = worded("there is no key 'x'", "key_unknown", key="x")


def test_a_sentence_is_printed_as_it_is_in_english():
    assert (str(NO_KEY), f"{NO_KEY}!") == ("there is no key 'x'", "there is no key 'x'!")
    assert Worded("there is no key 'x'", "key_unknown", {"key": "x"}) == NO_KEY


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (ValueError(NO_KEY), NO_KEY),
        (ValueError("bare"), "bare"),
        (ValueError(), ""),
        (OSError(28, "No space left"), "[Errno 28] No space left"),
    ],
)
def test_what_an_exception_says_is_worded_where_it_can_be(fault: Exception, line: object):
    assert line_of(fault) == line
    assert str(fault) == str(line)
