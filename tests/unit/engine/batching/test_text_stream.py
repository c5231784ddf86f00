"""Whole characters only, nothing of a stop string, whatever the tokens are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.text_stream import Piece, StopMatcher, TextStream
from policies.call import TokenLogprob


def reference(text: str, stops: list[str]) -> str:
    """Text before the stop that is complete first; of several, before the longest."""
    ends = [(index + len(stop), -len(stop)) for stop in stops if (index := text.find(stop)) >= 0]
    if not ends:
        return text
    end, negative_length = min(ends)
    return text[: end + negative_length]


def cut_into_tokens(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(places)]


def run(tokens: list[bytes], stops: list[str]) -> list[Piece]:
    stream = TextStream(stops)
    pieces = []
    for number, token in enumerate(tokens):
        pieces.append(stream.feed(token, TokenLogprob(str(number), token, -1.0)))
        if pieces[-1].stopped:
            return pieces
    return [*pieces, stream.finish()]


texts = st.text(st.sampled_from("abé漢🦙"), max_size=40)
stop_lists = st.lists(st.text(st.sampled_from("abé漢🦙"), min_size=0, max_size=6), max_size=4)
cut_lists = st.lists(st.integers(0, 200), max_size=60)


@given(text=texts, stops=stop_lists, cuts=cut_lists)
def test_any_tokenisation_gives_the_text_before_the_first_stop(text: str, stops: list[str], cuts: list[int]) -> None:
    pieces = run(cut_into_tokens(text.encode(), cuts), stops)

    wanted = reference(text, [stop for stop in stops if stop])
    assert "".join(piece.text for piece in pieces) == wanted
    assert pieces[-1].stopped == (wanted != text)
    assert not any("\ufffd" in piece.text for piece in pieces)


@given(text=texts, stops=stop_lists, cuts=cut_lists)
def test_a_logprob_is_sent_once_and_never_before_its_text(text: str, stops: list[str], cuts: list[int]) -> None:
    tokens = cut_into_tokens(text.encode(), cuts)
    sent_bytes = 0
    names: list[str] = []
    for piece in run(tokens, stops):
        sent_bytes += len(piece.text.encode())
        names += [logprob.token for logprob in piece.logprobs]
        if not piece.stopped:
            assert sum(len(tokens[int(name)]) for name in names) <= sent_bytes + 3
    assert names == [str(number) for number in range(len(names))]
    if not any(reference(text, [stop]) != text for stop in stops if stop):
        assert len(names) == len(tokens)


@given(data=st.binary(max_size=60), stops=stop_lists, cuts=cut_lists)
def test_any_bytes_decode_as_they_would_whole(data: bytes, stops: list[str], cuts: list[int]) -> None:
    text = "".join(piece.text for piece in run(cut_into_tokens(data, cuts), stops))

    assert text == reference(data.decode("utf-8", "replace"), [stop for stop in stops if stop])


@given(stop=st.text(st.sampled_from("ab"), min_size=1, max_size=8), text=st.text(st.sampled_from("ab"), max_size=30))
def test_a_matcher_knows_the_longest_end_that_begins_the_stop(stop: str, text: str) -> None:
    matcher = StopMatcher(stop)
    for index, character in enumerate(text):
        matcher.advance(character)
        seen = text[: index + 1]
        assert matcher.matched == max(n for n in range(len(stop) + 1) if seen.endswith(stop[:n]))
        if matcher.is_complete:
            break


def test_only_what_may_become_a_stop_is_held() -> None:
    stream = TextStream(["END", "EX"])

    assert stream.feed(b"so E") == Piece("so ")
    assert stream.feed(b"N") == Piece("")
    assert stream.feed(b"X") == Piece("ENX")
    assert stream.feed(b"E") == Piece("")
    assert stream.finish() == Piece("E")


def test_a_character_waits_for_its_last_byte() -> None:
    llama = "🦙".encode()
    stream = TextStream([])
    first = TokenLogprob("?", llama[:2], -1.0)
    second = TokenLogprob("?", llama[2:], -2.0)

    assert stream.feed(llama[:2], first) == Piece("")
    assert stream.feed(llama[2:], second) == Piece("🦙", (first, second))


def test_a_character_that_never_becomes_whole_is_replaced_at_the_end() -> None:
    stream = TextStream([])
    stream.feed("é".encode()[:1])

    assert stream.finish() == Piece("\ufffd")


def test_the_replacement_may_itself_complete_a_stop() -> None:
    stream = TextStream(["a\ufffd"])
    stream.feed(b"a\xc3")

    assert stream.finish() == Piece("", (), stopped=True)


def test_logprobs_of_tokens_that_begin_in_the_stop_are_dropped() -> None:
    stream = TextStream(["STOP"])
    spans, inside = TokenLogprob("aS", b"aS", -1.0), TokenLogprob("TO", b"TO", -1.0)
    stream.feed(b"aS", spans)
    stream.feed(b"TO", inside)

    assert stream.feed(b"P and more", TokenLogprob("P and more", b"P and more", -1.0)) == Piece(
        "", (spans,), stopped=True
    )


@pytest.mark.parametrize("stops", [["bc", "abcd"], ["abcd", "bc"]])
def test_the_stop_that_is_complete_first_counts_in_any_order(stops: list[str]) -> None:
    assert run([b"abcd"], stops) == [Piece("a", (TokenLogprob("0", b"abcd", -1.0),), stopped=True)]
    assert "".join(piece.text for piece in run([b"a", b"b", b"c", b"d"], stops)) == "a"


def test_a_self_similar_stop_costs_no_more_than_any_other() -> None:
    stream = TextStream(["a" * 5000 + "b"])
    held = "".join(stream.feed(b"a").text for _ in range(6000))

    assert held == "a" * 1000
