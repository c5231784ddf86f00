"""Each model family as its users meet it: template, reasoning and tool calls, through the official clients."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import ollama
import openai
import pytest

from tests.e2e.serving import Corral
from tests.families import SCRIPTS
from tests.scripted_model import write_scripted

pytestmark = pytest.mark.e2e
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
THOUGHTS = {"qwen3": "The user asks for the weather.", "qwen3moe": "Experts think.", "deepseek": "I should ask."}
CALLERS = ("llama", "mistral", "qwen3", "deepseek")
TEXTS = {"vicuna": " It is sunny in Paris.", "qwen3moe": "Sunny it is."}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    folder = tmp_path_factory.mktemp("families")
    corral = Corral(folder, engine={"slots": 2, "context_tokens": 512, "embeddings": False}).make(None)
    for name, (family, script) in SCRIPTS.items():
        corral.command("models", "import", str(write_scripted(folder / f"{name}.gguf", family, script)), name)
    corral.start()
    yield corral
    assert corral.stop() == 0


@pytest.fixture
def corral(families: Corral, monkeypatch: pytest.MonkeyPatch) -> Corral:
    for name, value in families.client_environment().items():
        monkeypatch.setenv(name, value)
    return families


@pytest.fixture
def asks(corral: Corral) -> Iterator[ollama.Client]:
    with closing(ollama.Client()) as client:
        yield client


def test_what_each_can_do_is_told(asks: ollama.Client) -> None:
    can = {name: set(asks.show(name).capabilities or ()) for name in SCRIPTS}
    assert {name for name, found in can.items() if "tools" in found} == {*CALLERS, "qwen3moe"}
    assert {name for name, found in can.items() if "thinking" in found} == set(THOUGHTS)
    assert all("completion" in found for found in can.values())


@pytest.mark.parametrize("model", CALLERS)
def test_a_tool_is_called(corral: Corral, model: str) -> None:
    with openai.OpenAI() as client:
        (choice,) = client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL]).choices
    (call,) = choice.message.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})  # type: ignore[union-attr]
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    assert (getattr(choice.message, "reasoning", None) or "") == THOUGHTS.get(model, "")


@pytest.mark.parametrize("model", CALLERS)
def test_a_tool_is_called_in_a_stream(corral: Corral, model: str) -> None:
    with openai.OpenAI() as client:
        chunks = list(client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL], stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    (call,) = [call for delta in deltas for call in delta.tool_calls or ()]
    assert call.function is not None
    assert (call.function.name, json.loads(call.function.arguments or "")) == ("weather", {"city": "Paris"})
    assert "".join(delta.content or "" for delta in deltas) == ""
    assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == THOUGHTS.get(model, "")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("model", CALLERS)
def test_a_tool_is_called_in_ollamas_words(asks: ollama.Client, model: str) -> None:
    message = asks.chat(model, QUESTION, tools=[TOOL]).message
    (call,) = message.tool_calls or ()
    assert (call.function.name, dict(call.function.arguments)) == ("weather", {"city": "Paris"})
    assert (message.thinking or "") == THOUGHTS.get(model, "")


@pytest.mark.parametrize("model", TEXTS)
def test_an_answer_without_a_call_is_text(asks: ollama.Client, model: str) -> None:
    message = asks.chat(model, QUESTION).message
    assert (message.content, message.thinking or "") == (TEXTS[model], THOUGHTS.get(model, ""))


def test_a_call_that_nobody_offered_is_text(asks: ollama.Client) -> None:
    message = asks.chat("llama", QUESTION).message
    assert json.loads(message.content or "") == {"name": "weather", "parameters": {"city": "Paris"}}
    assert not message.tool_calls


def test_tokens_of_thoughts_and_calls_are_counted(asks: ollama.Client) -> None:
    for model in ("qwen3", "deepseek"):
        usage = asks.chat(model, QUESTION, tools=[TOOL])
        assert usage.eval_count == len(SCRIPTS[model][1]) + 1, "each piece is a token, and the end is one"


def test_a_model_without_the_form_refuses_what_it_cannot_do(asks: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="vicuna:latest does not support tools"):
        asks.chat("vicuna", QUESTION, tools=[TOOL])
    with pytest.raises(ollama.ResponseError, match="does not support thinking"):
        asks.chat("vicuna", QUESTION, think=True)
