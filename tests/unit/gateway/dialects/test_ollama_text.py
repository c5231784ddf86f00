import base64
import json
from typing import Any

import ollama
import pytest

from gateway.dialects.contract import Asked, Loaded, Wish
from gateway.dialects.ollama_text import read_chat, read_generate
from policies.call import Call, Format, Message, Sampling, Tool
from policies.errors import BadRequest, ModelUnknown

HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ASK = {"model": "m", "prompt": "hi"}
CHAT_CALL = Call(kind="chat", model="m", messages=(Message("user", "hi"),))
IMAGE = base64.b64encode(b"image").decode()


def asked(wish: Wish) -> Asked:
    assert isinstance(wish, Asked)
    return wish


def chat(**fields: Any) -> Call:
    return asked(read_chat(HI | fields, "")).call


def generate(**fields: Any) -> Call:
    return asked(read_generate(ASK | fields, "")).call


def loaded(wish: Wish) -> dict[str, Any]:
    assert isinstance(wish, Loaded)
    assert wish.model == "m"
    answer = wish.answer(1_787_307_072_123_456_789)
    assert (answer.status, answer.content_type) == (200, "application/json; charset=utf-8")
    found: dict[str, Any] = json.loads(answer.body)
    assert found.pop("created_at") == "2026-08-21T10:11:12.123456789Z"
    return found


def test_the_least_chat_streams() -> None:
    wish = asked(read_chat(HI, ""))
    assert wish.call == CHAT_CALL
    assert wish.renderer.streamed
    assert asked(read_chat(HI | {"stream": None}, "")).renderer.streamed
    assert not asked(read_chat(HI | {"stream": False}, "")).renderer.streamed


def test_a_full_chat() -> None:
    call = chat(
        format={"type": "object"},
        keep_alive="5m",
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        options={"temperature": 0, "num_predict": 5, "num_ctx": 9},
        think="low",
        truncate=False,
        shift=False,
        logprobs=True,
        top_logprobs=3,
        _debug_render_only=True,
    )
    assert call == Call(
        kind="chat",
        model="m",
        messages=CHAT_CALL.messages,
        tools=(Tool("f", "", {"type": "object"}),),
        format=Format("schema", {"type": "object"}),
        sampling=Sampling(temperature=0.0),
        max_output_tokens=5,
        top_logprobs=3,
        think="low",
        truncate=False,
    )


def test_what_the_official_client_sends() -> None:
    request = ollama._types.ChatRequest(
        model="m",
        messages=[ollama.Message(role="user", content="hi")],
        tools=[],
        stream=True,
        options=ollama.Options(temperature=0.5, mirostat=1),
        keep_alive=5.5,
    )
    body = request.model_dump(exclude_none=True)
    call = asked(read_chat(body, "")).call
    assert call.messages == (Message("user", "hi"),)
    assert call.sampling.temperature == 0.5


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "messages": []}, {"model": "m", "messages": None}])
def test_no_messages_load(body: dict[str, Any]) -> None:
    say = {"role": "assistant", "content": ""}
    assert loaded(read_chat(body, "")) == {"model": "m", "message": say, "done": True, "done_reason": "load"}
    assert loaded(read_chat(body | {"keep_alive": 0}, ""))["done_reason"] == "unload"
    assert loaded(read_chat(body | {"keep_alive": -1}, ""))["done_reason"] == "load"
    ollama.ChatResponse.model_validate(loaded(read_chat(body, "")))


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "prompt": ""}])
def test_no_prompt_loads(body: dict[str, Any]) -> None:
    assert loaded(read_generate(body, "")) == {"model": "m", "response": "", "done": True, "done_reason": "load"}
    assert loaded(read_generate(body | {"keep_alive": "0s"}, ""))["done_reason"] == "unload"


def test_unloading_comes_before_the_rules_of_raw() -> None:
    body = {"model": "m", "raw": True, "system": "s"}
    assert loaded(read_generate(body | {"keep_alive": 0}, ""))["done_reason"] == "unload"
    with pytest.raises(BadRequest):
        read_generate(body, "")


def test_generate() -> None:
    assert generate() == Call(kind="completion", model="m", prompt="hi")
    call = generate(suffix="end", system="brief", context=[1, 2], images=[IMAGE], format="json")
    assert call == Call(
        kind="completion",
        model="m",
        prompt="hi",
        suffix="end",
        system="brief",
        context=(1, 2),
        images=(b"image",),
        format=Format("json"),
    )
    assert generate(system="", template="", raw=True) == Call(kind="completion", model="m", prompt="hi", raw=True)


@pytest.mark.parametrize("field", [{"template": "x"}, {"system": "x"}, {"context": [1]}])
def test_raw_stands_alone(field: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        generate(raw=True, **field)
    assert refused.value.text == "raw mode does not support template, system, or context"


def test_no_template_of_the_callers_own() -> None:
    with pytest.raises(BadRequest) as refused:
        generate(template="{{ .Prompt }}")
    assert refused.value.text == "a request cannot bring its own template"


@pytest.mark.parametrize("model", ["", "a b", None])
def test_no_model(model: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        read_chat(HI | {"model": model}, "")
    assert refused.value.text == "model is required"
    with pytest.raises(ModelUnknown):
        read_generate(ASK | {"model": model}, "")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"stream": "yes"}, 'invalid field "stream": must be boolean, not string'),
        ({"messages": [1]}, 'invalid field "messages[0]": must be object, not integer'),
        ({"messages": [{"content": 1}]}, 'invalid field "messages[0].content": must be string, not integer'),
        ({"messages": [{"role": "u" * 300}]}, 'invalid field "messages[0].role": must be string of length <= 256'),
        ({"messages": [{}] * 4097}, 'invalid field "messages": must be array of length <= 4096'),
        ({"tools": [{"type": "x"}]}, 'invalid field "tools[0]": must be of type function'),
        ({"options": []}, 'invalid field "options": must be object, not array'),
        ({"options": {"seed": "x"}}, 'option "seed" must be of type integer'),
        ({"top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ({"keep_alive": True}, "Unsupported type: 'bool'"),
        ({"think": "x"}, 'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'),
        ({"format": "xml"}, 'invalid format: expected "json" or a valid JSON Schema object'),
        ({"Messages": []}, 'field "messages" must be written in lower case'),
    ],
)
def test_refused(field: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_chat(HI | field, "")
    assert refused.value.text == text


def test_token_ids_are_ids() -> None:
    with pytest.raises(BadRequest):
        generate(context=[-1])
    with pytest.raises(BadRequest):
        generate(context=[2**31])


def test_no_body_is_no_model() -> None:
    with pytest.raises(BadRequest):
        read_chat(None, "")
    with pytest.raises(ModelUnknown):
        read_generate(None, "")
