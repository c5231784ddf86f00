"""Reading a streamed answer: however it is cut, the same is said, reasoned and called."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.answers.answer_form import CALL_BEGIN, CALL_END, CALL_PARTS, CALLS_BEGIN, CALLS_END, AnswerForm
from engine.answers.answer_reader import MOST_CALL_CHARACTERS, AnswerReader, Said, _merge
from policies.call import Reasoning, Text, ToolCall, ToolCalled

QWEN = AnswerForm(think_open="<think>", think_close="</think>", tools="hermes")
R1 = AnswerForm(think_open="<think>", think_close="</think>", begins_thinking=True)
LLAMA = AnswerForm(tools="llama")
MISTRAL = AnswerForm(tools="mistral")
DEEPSEEK = AnswerForm(think_open="<think>", think_close="</think>", begins_thinking=True, tools="deepseek")
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
CALLED = ToolCalled(ToolCall("", "weather", {"city": "Paris"}))
BAD = '<tool_call>\n{"name": "wea\n</tool_call>'


def read(form: AnswerForm, *parts: str, offered: tuple[str, ...] = ("weather",)) -> list[Said]:
    reader = AnswerReader(form, offered)
    said = [each for part in parts for each in reader.feed(part)]
    return list(_merge([*said, *reader.finish()]))


CASES = [
    (QWEN, "Hello", [Text("Hello")]),
    (QWEN, "  Hello\n", [Text("  Hello\n")]),
    (QWEN, " \n", [Text(" \n")]),
    (QWEN, "", []),
    (QWEN, "<think>\nHm.\n</think>\n\nHello", [Reasoning("Hm."), Text("Hello")]),
    (QWEN, "<think>\n\n</think>\n\nHello", [Text("Hello")]),
    (QWEN, "\n<think>Hm", [Reasoning("Hm")]),
    (QWEN, "<think>\n", []),
    (QWEN, "a <think>b</think>", [Text("a <think>b</think>")]),
    (QWEN, "<thinker>", [Text("<thinker>")]),
    (QWEN, "<think>a</think>  ", [Reasoning("a")]),
    (QWEN, "<think>1 < 2</thin</think>3 <", [Reasoning("1 < 2</thin"), Text("3 <")]),
    (R1, "Hm.\nYes.\n</think>\nHello", [Reasoning("Hm.\nYes."), Text("Hello")]),
    (QWEN, CALL, [CALLED]),
    (QWEN, f"Let me see.\n{CALL}", [Text("Let me see.\n"), CALLED]),
    (QWEN, f"<think>Hm</think>\n{CALL}\n{CALL}", [Reasoning("Hm"), CALLED, CALLED]),
    (QWEN, f"\n{CALL}\n", [CALLED]),
    (QWEN, f"{CALL} So.", [CALLED, Text("So.")]),
    (QWEN, CALL.removesuffix("</tool_call>"), [CALLED]),
    (QWEN, f"a\n{BAD} b", [Text(f"a\n{BAD} b")]),
    (QWEN, "a <tool_ca", [Text("a <tool_ca")]),
    (MISTRAL, '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Paris"}}]', [CALLED]),
    (MISTRAL, "[TOOL", [Text("[TOOL")]),
    (LLAMA, '\n{"name": "weather", "parameters": {"city": "Paris"}}', [CALLED]),
    (LLAMA, '<|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}', [CALLED]),
    (LLAMA, '{"a": 1}', [Text('{"a": 1}')]),
    (LLAMA, 'Use {"name": "weather"}', [Text('Use {"name": "weather"}')]),
    (LLAMA, "<|pyth", [Text("<|pyth")]),
    (
        DEEPSEEK,
        f"Hm</think>{CALLS_BEGIN}{CALL_BEGIN}weather{CALL_PARTS}" + '{"city": "Paris"}' + CALL_END + CALLS_END,
        [Reasoning("Hm"), CALLED],
    ),
]


@pytest.mark.parametrize(("form", "text", "expected"), CASES)
def test_an_answer_is_read(form: AnswerForm, text: str, expected: list[Said]) -> None:
    assert read(form, text) == expected


@pytest.mark.parametrize(("form", "text", "expected"), CASES)
def test_it_is_read_the_same_letter_by_letter(form: AnswerForm, text: str, expected: list[Said]) -> None:
    assert read(form, *text) == expected


@given(st.sampled_from(CASES), st.lists(st.integers(0, 90), max_size=6))
def test_it_is_read_the_same_however_it_is_cut(case: tuple[AnswerForm, str, list[Said]], cuts: list[int]) -> None:
    form, text, expected = case
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert read(form, *(text[a:b] for a, b in itertools.pairwise(edges))) == expected


def test_without_tools_on_offer_a_call_is_text() -> None:
    assert read(QWEN, CALL, offered=()) == [Text(CALL)]


def test_a_function_that_was_not_offered_is_text() -> None:
    assert read(QWEN, CALL, offered=("other",)) == [Text(CALL)]


def test_text_is_handed_on_at_once_but_for_the_beginning_of_a_marker() -> None:
    reader = AnswerReader(QWEN, ("weather",))
    assert reader.feed("Hello") == [Text("Hello")]
    assert reader.feed(" <to") == [Text(" ")]
    assert reader.feed("ol kit>") == [Text("<tool kit>")]


def test_a_call_without_end_becomes_text() -> None:
    reader = AnswerReader(QWEN, ("weather",))
    assert reader.feed("<tool_call>" + "x" * (MOST_CALL_CHARACTERS - 11)) == []
    (said,) = reader.feed("yz")
    assert isinstance(said, Text)
    assert said.text.endswith("xyz")
    assert reader.feed(CALL) == [Text(CALL)], "no more calls are looked for"


ANYTHING = st.text(alphabet="<>/thinkol_ca \n{a[TOLACS]", max_size=80)


@given(st.sampled_from([QWEN, R1, LLAMA, MISTRAL, DEEPSEEK]), st.lists(ANYTHING, max_size=5))
def test_no_letter_is_lost(form: AnswerForm, parts: list[str]) -> None:
    said = read(form, *parts)
    came = "".join("".join(each.text for each in said if not isinstance(each, ToolCalled)).split())
    letters = "".join("".join(parts).split())
    unopened = letters.replace(form.think_open, "", 1)
    kept = {each.replace(form.think_close, "", 1) for each in (letters, unopened)} | {letters, unopened}
    assert came in kept, "nothing but markers is left out"
