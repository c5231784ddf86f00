"""Remembered prefixes: the longest that matches from the start, bounded."""

from policies.admitting.prefixes import BLOCK_TOKENS, Prefixes

BLOCKS = (b"a", b"ab", b"abc")


def test_the_longest_remembered_prefix_counts() -> None:
    prefixes = Prefixes(10)
    assert prefixes.matched_tokens(BLOCKS) == 0
    prefixes.remember(BLOCKS[:2])
    assert prefixes.matched_tokens(BLOCKS) == 2 * BLOCK_TOKENS
    assert prefixes.matched_tokens(BLOCKS[:1]) == BLOCK_TOKENS
    assert prefixes.matched_tokens((b"x", *BLOCKS)) == 0


def test_the_least_recently_used_go_first() -> None:
    prefixes = Prefixes(2)
    prefixes.remember((b"a", b"ab"))
    prefixes.remember((b"a", b"ac"))
    assert prefixes.matched_tokens((b"a", b"ab")) == BLOCK_TOKENS
    assert prefixes.matched_tokens((b"a", b"ac")) == 2 * BLOCK_TOKENS


def test_a_target_that_begins_anew_or_shrinks_remembers_less() -> None:
    prefixes = Prefixes(10)
    prefixes.remember(BLOCKS)
    prefixes.forget()
    assert prefixes.matched_tokens(BLOCKS) == 0
    prefixes.limit(1)
    prefixes.remember(BLOCKS)
    assert len(prefixes._blocks) == 1
