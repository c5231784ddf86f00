"""Invariant: any JSON object given to a route is a wish, an answer or a refusal of the documented kinds."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dialects import ollama, openai
from gateway.dialects.contract import Answer, Asked, Started
from gateway.dialects.route import MAX_QUESTION_BODY_BYTES, MAX_WORK_BODY_BYTES, Route
from gateway.json_body import parse_object
from policies.call import Embedded, Final, Reasoning, Text, ToolCall, ToolCalled
from policies.errors import BadRequest, BodyTooLarge, ModelUnknown

ROUTES = (*ollama.ROUTES, *openai.ROUTES)
POSTS = [route for route in ROUTES if route.body_limit_bytes]
GOOD: dict[str, Any] = {
    "model": "m", "name": "m", "prompt": "p", "input": ["a"], "stream": True, "think": True, "format": "json",
    "messages": [{"role": "user", "content": "hi", "images": [], "tool_calls": [{"function": {"name": "f"}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "keep_alive": "5m",
    "options": {"seed": 1, "stop": ["a"]}, "stop": "x", "response_format": {"type": "json_object"}, "n": 1,
    "max_tokens": 3, "stream_options": {"include_usage": True}, "encoding_format": "base64", "dimensions": 2,
    "logprobs": True, "top_logprobs": 2, "tool_choice": "none", "temperature": 1, "seed": 3, "images": ["QUJD"],
    "reasoning_effort": "low", "reasoning": {"effort": "high"}, "context": [1], "raw": False, "suffix": "s",
    "max_completion_tokens": 5, "truncate": False, "shift": True, "top_p": 0.5, "template": "", "system": "s",
}  # fmt: skip
LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["", "m", "json", "low", "0", "1h", "none", "data:;base64,QQ==", "{}", "user"])
)  # fmt: skip
KEYS = st.sampled_from([*GOOD, "role", "content", "function", "arguments", "type", "url", "text", "num_ctx", "Model"])
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4)
)
NEAR = st.dictionaries(KEYS, VALUE, max_size=5).map(lambda wild: GOOD | wild)
EVENTS = (Reasoning("r"), Text("t"), ToolCalled(ToolCall("", "f", {})), Embedded(((1.0, 2.0),)), Final("stop"))


def read(route: Route, fields: dict[str, Any]) -> None:
    try:
        wish = route.read(parse_object(json.dumps(fields).encode()), "")
    except (BadRequest, ModelUnknown, BodyTooLarge):
        return
    if isinstance(wish, Asked):
        wish.renderer.start(Started(request_id="r", arrived_ns=1, dispatched_ns=2))
        assert b"".join(wish.renderer.event(event, 3) for event in EVENTS)


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.path)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(KEYS | st.text(max_size=5), VALUE, max_size=6) | NEAR)
def test_any_object(route: Route, fields: dict[str, Any]) -> None:
    read(route, fields)


def test_paths_and_scopes() -> None:
    assert {(names, route.path, route.scope) for route in ROUTES for names in route.method_names} == {
        ("GET", "/", "open"),
        ("HEAD", "/", "open"),
        ("GET", "/api/version", "models"),
        ("GET", "/api/status", "models"),
        ("GET", "/api/tags", "models"),
        ("HEAD", "/api/tags", "models"),
        ("GET", "/api/ps", "models"),
        ("POST", "/api/show", "models"),
        ("POST", "/api/generate", "inference"),
        ("POST", "/api/chat", "inference"),
        ("POST", "/api/embed", "inference"),
        ("POST", "/api/embeddings", "inference"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/{model}", "models"),
        ("POST", "/v1/chat/completions", "inference"),
        ("POST", "/v1/completions", "inference"),
        ("POST", "/v1/embeddings", "inference"),
    }
    assert {route.dialect for route in ollama.ROUTES} == {ollama.DIALECT.name}
    assert {route.dialect for route in openai.ROUTES} == {openai.DIALECT.name}


def test_bodies() -> None:
    limits = {route.path: route.body_limit_bytes for route in POSTS}
    assert limits.pop("/api/show") == MAX_QUESTION_BODY_BYTES
    assert set(limits.values()) == {MAX_WORK_BODY_BYTES}
    assert {route.method_names for route in POSTS} == {("POST",)}


def test_an_open_route_needs_no_catalogue() -> None:
    assert all(isinstance(route.read(None, ""), Answer) for route in ROUTES if route.scope == "open")
