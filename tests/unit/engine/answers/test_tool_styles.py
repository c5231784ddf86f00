"""Tool calls in the styles of the families, and what is no call."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.answers.answer_form import CALL_BEGIN, CALL_END, CALL_PARTS, CALLS_BEGIN
from engine.answers.tool_styles import MAX_CALLS, STYLES, read_calls
from policies.call import ToolCall

PARIS = {"city": "Paris"}
PARIS_JSON = json.dumps(PARIS)
OFFERED = {"weather", "time"}


def called(style: str, text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in read_calls(STYLES[style], text, OFFERED)]


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}'),
        ("mistral", '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Paris"}, "id": "123456789"}]'),
        ("mistral", f"[TOOL_CALLS]weather[ARGS]{PARIS_JSON}"),
        ("mistral", f"[TOOL_CALLS]weather[CALL_ID]123456789[ARGS]{PARIS_JSON}"),
        ("mistral", f"[TOOL_CALLS]weather{PARIS_JSON}"),
        ("llama", '{"name": "weather", "parameters": {"city": "Paris"}}'),
        ("llama", '<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Paris"}}'),
        (
            "deepseek",
            f"{CALLS_BEGIN}{CALL_BEGIN}function{CALL_PARTS}weather\n```json\n{PARIS_JSON}\n```{CALL_END}",
        ),
        ("deepseek", f"{CALLS_BEGIN}{CALL_BEGIN}weather{CALL_PARTS}{PARIS_JSON}{CALL_END}"),
    ],
)
def test_each_family_has_its_way_to_call(style: str, text: str) -> None:
    assert called(style, text) == [("weather", PARIS)]


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", '<tool_call>[{"name": "weather", "arguments": {}}, {"name": "time", "arguments": {}}]'),
        ("mistral", "[TOOL_CALLS]weather[ARGS]{}[TOOL_CALLS]time[ARGS]{}"),
        ("llama", '{"name": "weather", "parameters": {}}; {"name": "time", "parameters": {}}'),
        (
            "deepseek",
            f"{CALLS_BEGIN}{CALL_BEGIN}weather{CALL_PARTS}{{}}{CALL_END}\n{CALL_BEGIN}time{CALL_PARTS}{{}}{CALL_END}",
        ),
    ],
)
def test_several_calls_come_in_order(style: str, text: str) -> None:
    assert called(style, text) == [("weather", {}), ("time", {})]


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", "<tool_call>"),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {"city": "Pa'),
        ("hermes", '<tool_call>{"name": "delete_all", "arguments": {}}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {}} and then'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": [1]}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": "no"}'),
        ("hermes", '<tool_call>{"name": ["weather"], "arguments": {}}'),
        ("hermes", '<tool_call>"weather"'),
        ("hermes", '<tool_call>{"name": "weather"}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {}}, {"name": "rm", "arguments": {}}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {"city": "\\ud800"}}'),
        ("hermes", '<tool_call>{"name": "weather", "arguments": {"\\udfff": 1}}'),
        ("hermes", "<tool_call>" + "[" * 100_000),
        ("hermes", '<tool_call>{"name": "weather", "arguments": ' + json.dumps("[" * 100_000) + "}"),
        ("hermes", "<tool_call>" + '{"name": "weather", "arguments": {}}' * (MAX_CALLS + 1)),
        ("mistral", "[TOOL_CALLS]weather"),
        ("llama", '{"answer": 42}'),
        ("deepseek", CALLS_BEGIN),
        ("deepseek", CALLS_BEGIN + CALL_BEGIN * 5000),
    ],
)
def test_what_is_not_a_whole_good_call_is_none(style: str, text: str) -> None:
    assert called(style, text) == []


@given(st.sampled_from(sorted(STYLES)), st.text(alphabet='[]{}":,;<>/|_ \\ntoolcaARGS0', max_size=200))
def test_no_text_breaks_a_reader(style: str, text: str) -> None:
    calls = read_calls(STYLES[style], STYLES[style].opens[0] + text, OFFERED)
    assert all(isinstance(call, ToolCall) and call.name in OFFERED for call in calls)
