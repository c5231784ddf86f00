"""Text that hides nothing: what a page shows of untrusted signs."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.console.plain_text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ASCII <b>", "plain ASCII <b>"),
        ("Grüße 你好 émoji 🐎", "Grüße 你好 émoji 🐎"),
        ("line\nand\ttab", "line\nand\ttab"),
        ("a\x1b[31mred\x07", "a\\x1b[31mred\\x07"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\r\u2028\u2029", "\\r\\u2028\\u2029"),
        ("\u0645\u200c\u062e", "\u0645\u200c\u062e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_hides_stands_as_an_escape(text, shown):
    assert plain(text) == shown


@settings(max_examples=300)
@given(st.text(st.characters(blacklist_categories=())))
def test_nothing_that_hides_is_left(text):
    shown = plain(text)
    kept = {"\t", "\n", "\u200c", "\u200d"}
    assert not [
        each
        for each in shown
        if each not in kept and unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    ]
    assert plain(shown) == shown
