"""The events of an answer carry every token and the log-probabilities of what is said."""

from engine.answers.answer_events import AnswerEvents
from engine.answers.answer_form import PLAIN, AnswerForm
from policies.call import Reasoning, Text, TokenLogprob, Tool, ToolCall, ToolCalled

QWEN = AnswerForm(think_open="<think>", think_close="</think>", tools="hermes")
TOOLS = (Tool("weather"),)
LOGPROB = TokenLogprob("a", b"a", -0.5)


def test_a_plain_answer_is_handed_on_as_it_comes() -> None:
    events = AnswerEvents(PLAIN, TOOLS)
    assert events.take("<think>", (LOGPROB,), 3) == [Text("<think>", (LOGPROB,), 3)]
    assert events.finish() == []


def test_tokens_that_are_held_back_count_with_the_next_event() -> None:
    events = AnswerEvents(QWEN, TOOLS)
    assert events.take("<think>", (), 1) == []
    assert events.take("Hm", (), 2) == [Reasoning("Hm", 3)]
    assert events.take("</think>\n\nSo", (LOGPROB,), 4) == [Text("So", (LOGPROB,), 4)]
    assert events.take('<tool_call>{"name": "weather", "arguments": {}}', (), 9) == []
    assert events.take("</tool_call>", (), 1) == [ToolCalled(ToolCall("", "weather", {}), 10)]
    assert events.take("!", (), 1) == [Text("!", (), 1)]
    assert events.finish() == []


def test_two_events_at_once_count_their_tokens_once() -> None:
    events = AnswerEvents(QWEN, TOOLS)
    assert events.take("<think>Hm</think>So", (LOGPROB,), 5) == [Reasoning("Hm", 5), Text("So", (LOGPROB,), 0)]


def test_the_rest_comes_at_the_end() -> None:
    events = AnswerEvents(QWEN, TOOLS)
    assert events.take("a <tool", (), 2) == [Text("a ", (), 2)]
    assert events.take("_c", (), 1) == []
    assert events.finish() == [Text("<tool_c", (), 1)]
