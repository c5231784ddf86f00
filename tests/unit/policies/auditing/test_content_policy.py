"""Digests and documents of what a caller said and was told."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing import content_policy
from policies.auditing.content_policy import (
    MAX_WORD,
    Collected,
    WordDigest,
    context_digest,
    document,
    newest_text,
    text_digest,
)
from policies.call import Call, Final, Message, Reasoning, Text, Tool, ToolCall, ToolCalled

KEY = b"k" * 32


def chat(*messages: Message, **fields: object) -> Call:
    return Call(kind="chat", model="m", messages=messages, **fields)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120), st.lists(st.integers(0, 120), max_size=6))
def test_the_digest_does_not_depend_on_where_a_text_is_cut(text: str, cuts: list[int]) -> None:
    digest = WordDigest(KEY)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in itertools.pairwise(places):
        digest.add(text[start:end])
    assert digest.hex() == text_digest(KEY, text)


@pytest.mark.parametrize("length", [MAX_WORD - 1, MAX_WORD, MAX_WORD + 1, 3 * MAX_WORD])
def test_a_long_word_in_pieces(length: int) -> None:
    text, digest = "\u6f22" * length, WordDigest(KEY)
    for sign in text:
        digest.add(sign)
    assert len(digest._word) <= MAX_WORD
    assert digest.hex() == text_digest(KEY, text)


def test_blanks_and_composition_do_not_count_and_letter_case_does() -> None:
    assert text_digest(KEY, "  caf\u00e9\r\n au\tlait ") == text_digest(KEY, "cafe\u0301 au lait")
    assert text_digest(KEY, "A") != text_digest(KEY, "a")
    assert text_digest(KEY, "a b") != text_digest(KEY, "ab")
    assert text_digest(KEY, "a") != text_digest(b"j" * 32, "a")
    assert text_digest(KEY, " \n") == ""


@pytest.mark.parametrize(
    ("call", "newest"),
    [
        (
            chat(Message("system", "s"), Message("user", "one"), Message("assistant", "a"), Message("user", "two")),
            "two",
        ),
        (chat(Message("system", "only")), "only"),
        (chat(), ""),
        (Call(kind="completion", model="m", prompt="p"), "p"),
        (Call(kind="completion", model="m", prompt="p", suffix="s"), "p\ns"),
        (Call(kind="embedding", model="m", inputs=("a", "b")), "a\nb"),
    ],
)
def test_what_was_said_last(call: Call, newest: str) -> None:
    assert newest_text(call) == newest


@pytest.mark.parametrize(
    "call",
    [
        chat(Message("system", "s"), Message("user", "u")),
        chat(Message("user", "u"), tools=(Tool("t"),)),
        chat(Message("user", "u", images=(b"png",))),
        Call(kind="completion", model="m", prompt="u", system="s"),
        Call(kind="completion", model="m", prompt="u", context=(1, 2)),
        Call(kind="completion", model="m", prompt="u", images=(b"png",)),
    ],
)
def test_all_that_came_with_it_has_a_digest(call: Call) -> None:
    assert len(context_digest(KEY, call)) == 64


@pytest.mark.parametrize("call", [chat(Message("user", "u")), Call(kind="completion", model="m", prompt="u"), chat()])
def test_where_nothing_came_with_it_there_is_none(call: Call) -> None:
    assert context_digest(KEY, call) == ""


def answered(*events: object) -> Collected:
    collected = Collected()
    for event in events:
        collected.take(event)  # type: ignore[arg-type]
    return collected


def test_a_document_of_everything() -> None:
    call = chat(Message("user", "write anna@corp.example", images=(b"png",)), tools=(Tool("t", "d"),))
    events = (Reasoning("why"), Text("one "), Text("two"), ToolCalled(ToolCall("1", "t", {"to": "anna@corp.example"})))
    collected = answered(*events, Final("stop"))
    full = json.loads(document(call, collected, redact=False))
    assert full["prompt"]["messages"][0]["content"] == "write anna@corp.example"
    assert full["prompt"]["messages"][0]["images"][0]["base64"] == "cG5n"
    assert full["prompt"]["tools"][0]["name"] == "t"
    assert full["answer"]["text"] == "one two"
    assert (full["answer"]["reasoning"], full["answer"]["cut"]) == ("why", False)
    assert full["answer"]["tool_calls"][0]["arguments"] == {"to": "anna@corp.example"}
    masked = document(call, collected, redact=True)
    assert b"anna" not in masked
    assert b"cG5n" not in masked
    assert json.loads(masked)["prompt"]["messages"][0]["images"][0]["bytes"] == 3


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_policy, "MAX_ANSWER_CHARS", 10)
    collected = answered(Text("12345"), Text("67890"), Text("x"), Text(""), ToolCalled(ToolCall("1", "t", {})))
    assert ("".join(collected.text), collected.cut, collected.tool_calls) == ("1234567890", True, [])


def test_collections_are_not_shared() -> None:
    assert answered(Text("a")).text == ["a"]
    assert answered(Text("b")).text == ["b"]
