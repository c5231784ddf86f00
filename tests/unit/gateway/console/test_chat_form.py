import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.console.chat_form import MAX_TURNS, ChatForm, Said, Turn, chat_body, read_chat_form, read_said, write_turns
from policies.console.plain_text import plain
from policies.errors import BadRequest

TURNS = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello"))
FORM = {"team": "one", "model": "m:latest", "turns": write_turns(TURNS), "question": " Why?\r\nSay "}


def test_the_form_is_read() -> None:
    assert read_chat_form(FORM) == ChatForm(team="one", model="m:latest", turns=TURNS, question="Why?\nSay")


def test_a_first_question_has_no_turns() -> None:
    assert read_chat_form(FORM | {"turns": ""}).turns == ()


@pytest.mark.parametrize("name", ["team", "model", "question"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_chat_form(FORM | {name: ""})
    assert name in refused.value.text
    with pytest.raises(BadRequest):
        read_chat_form({key: value for key, value in FORM.items() if key != name})


@pytest.mark.parametrize(
    "turns",
    [
        "[]",
        "{",
        "{}x",
        '{"turns": [{"role": "system", "content": "x"}]}',
        '{"turns": [{"role": "user", "content": "x", "images": ["y"]}]}',
        '{"turns": [{"role": "user"}]}',
        '{"turns": [{"role": "user", "content": 3}]}',
        '{"turns": [], "model": "other"}',
        '{"turns": [], "turns": []}',
        json.dumps({"turns": [{"role": "user", "content": ""}] * (MAX_TURNS + 1)}),
    ],
)
def test_turns_that_are_none_are_refused(turns: str) -> None:
    with pytest.raises(BadRequest):
        read_chat_form(FORM | {"turns": turns})


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_a_page_shows_turns_as_they_are_read_back(text: str) -> None:
    turns = (Turn(role="user", content="\x7f\u202e" + text.encode("utf-8", "replace").decode()),)
    field = write_turns(turns)
    assert plain(field) == field
    assert read_chat_form(FORM | {"turns": field}).turns == turns


def test_the_request_has_the_turns_the_question_and_nothing_else() -> None:
    body = json.loads(chat_body(read_chat_form(FORM), streamed=False))
    assert body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Why?\nSay"},
    ]
    assert set(body) == {"model", "messages", "stream"}
    streamed = json.loads(chat_body(read_chat_form(FORM), streamed=True))
    assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})


def test_an_answer_is_read() -> None:
    body = json.dumps({"choices": [{"message": {"content": "Paris", "reasoning": "hm"}}]}).encode()
    said = read_said(200, body)
    assert said == Said(text="Paris", reasoning="hm")
    assert said.turn == Turn(role="assistant", content="Paris")
    assert read_said(200, b'{"choices": [{"message": {"content": null}}]}') == Said()


def test_a_refusal_is_read() -> None:
    assert read_said(429, b'{"error": {"message": "busy"}}') == Said(error="busy")
