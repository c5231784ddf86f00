"""What the chat's form holds, and the request it becomes. No I/O.

The conversation lives in the page alone: the browser sends the turns so far with each question, and nothing of them is
kept here. So they are read like anything that a client sends: one JSON object of bounded turns by two speakers. The
route behind judges the rest (model, lengths, limits) as for every client.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.json_body import parse_object
from policies.errors import BadRequest

FORM_BYTES = 1024 * 1024
"""Form encoding may triple a text; no context of a model is longer."""
MAX_TURNS = 400
"""Longer conversations begin anew."""


class Turn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of the conversation, as text."""

    role: Literal["user", "assistant"]
    content: str


class History(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The turns so far, the oldest first."""

    turns: Annotated[tuple[Turn, ...], Meta(max_length=MAX_TURNS)] = ()


class ChatForm(Struct, frozen=True, kw_only=True):
    """As whom, which model, what was said, and the question now."""

    team: str
    model: str
    turns: tuple[Turn, ...]
    question: str

    @property
    def asked(self) -> tuple[Turn, ...]:
        """The turns with the question."""
        return (*self.turns, Turn(role="user", content=self.question))


class Said(Struct, frozen=True, kw_only=True):
    """An answer that came whole: its text and reasoning, or the `error` that the caller is told."""

    text: str = ""
    reasoning: str = ""
    error: str = ""

    @property
    def turn(self) -> Turn:
        """The answer as the turn that later questions bring along; reasoning is not sent back."""
        return Turn(role="assistant", content=self.text)


def read_chat_form(form: Mapping[str, str]) -> ChatForm:
    """The fields of the form. Raises BadRequest for a missing one or turns that are none."""
    question = form.get("question", "").replace("\r\n", "\n").strip()
    for name, value in (("team", form.get("team")), ("model", form.get("model")), ("question", question)):
        if not value:
            raise BadRequest("chat_field_missing", f"the field {name!r} is missing")
    return ChatForm(team=form["team"], model=form["model"], turns=_read_turns(form.get("turns", "")), question=question)


def write_turns(turns: tuple[Turn, ...]) -> str:
    """The turns as the form carries them: printable ASCII, which no page shows otherwise than it is."""
    return json.dumps(msgspec.to_builtins(History(turns=turns)))


def chat_body(chat: ChatForm, *, streamed: bool) -> bytes:
    """The request, in the OpenAI dialect."""
    body: dict[str, Any] = {"model": chat.model, "messages": msgspec.to_builtins(chat.asked), "stream": streamed}
    if streamed:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def read_said(status: int, body: bytes) -> Said:
    """What the route answered whole."""
    answer = msgspec.json.decode(body)
    if status != 200:
        return Said(error=str(answer["error"]["message"]))
    message = answer["choices"][0]["message"]
    return Said(text=message["content"] or "", reasoning=message.get("reasoning", ""))


def _read_turns(text: str) -> tuple[Turn, ...]:
    if not text:
        return ()
    try:
        return msgspec.convert(parse_object(text.encode("utf-8", "surrogatepass")), History).turns
    except msgspec.ValidationError:
        raise BadRequest("chat_turns_unreadable", "the turns of the conversation cannot be read") from None
