"""Hostile requests: bodies of every dialect whose fields are of the right name and of any value.

Built by Hypothesis, so that a failure comes back small. Half of the values fit the field, so that many requests come
as far as the template, the tokeniser, the grammar and the sampler.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

ROUTES = ("/api/chat", "/api/generate", "/api/embed", "/v1/chat/completions", "/v1/completions", "/v1/embeddings")
MOST_TOKENS = 8

NUMBERS = st.one_of(
    st.sampled_from((0, -1, 1, 2**31, 2**53, -(2**63), 2**64, 1e308, -0.0, 1e-320)),
    st.integers(-5, 300),
    st.floats(-2, 3, allow_nan=False),
)
MARKERS = st.sampled_from(
    (
        "<|im_start|>",
        "<|im_end|>",
        "<think>",
        "</think>",
        "<tool_call>",
        "[INST]",
        "\x00",
        "\ud800",
        "\U0001f600",
        "{{ 1 }}",
    )
)
TEXTS = st.one_of(st.text(max_size=40), MARKERS, st.lists(MARKERS, max_size=6).map("".join), st.just("a" * 5000))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.just("\ud800")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
SCHEMAS = st.recursive(
    st.sampled_from(
        (
            {"type": "string"}, {"type": "integer"}, {"enum": ["a", 1, None]}, {"const": "x"}, {"type": "nothing"},
            {"type": "string", "pattern": "^(a+)+$"}, {"$ref": "#/x"}, {"type": "array", "maxItems": 10**9}, True,
        )
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(TEXTS, inner, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=3)}),
    ),
    max_leaves=6,
)  # fmt: skip
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": TEXTS, "description": TEXTS, "parameters": SCHEMAS}),
        }
    ),
    max_size=3,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"function": st.fixed_dictionaries({"name": TEXTS, "arguments": st.dictionaries(TEXTS, TEXTS)})}
    ),
    max_size=2,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(("system", "user", "assistant", "tool")), "content": TEXTS},
        optional={"tool_calls": CALLS, "thinking": TEXTS, "tool_name": TEXTS},
    ),
    min_size=1,
    max_size=4,
)
SMALL, SHARE = st.integers(0, 100), st.floats(0, 1)
STOPS = st.one_of(TEXTS, st.lists(TEXTS, max_size=4))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2), "top_k": SMALL, "top_p": SHARE, "min_p": SHARE, "typical_p": SHARE,
        "seed": SMALL, "repeat_last_n": st.integers(-1, 64), "repeat_penalty": st.floats(0.5, 2), "stop": STOPS,
        "presence_penalty": st.floats(-2, 2), "frequency_penalty": st.floats(-2, 2), "num_ctx": SMALL,
        "num_batch": NUMBERS, "num_gpu": NUMBERS, "mirostat": NUMBERS, "num_keep": SMALL,
    },
)  # fmt: skip
KEEP = st.sampled_from((None, "5m", 0, -1, 300))

_OLLAMA = {"stream": st.booleans(), "keep_alive": KEEP, "unknown": ANYTHING, "options": OPTIONS}
_OPENAI = {
    "stream": st.booleans(), "unknown": ANYTHING, "temperature": st.floats(0, 2), "top_p": SHARE, "seed": SMALL,
    "stop": STOPS, "presence_penalty": st.floats(-2, 2), "frequency_penalty": st.floats(-2, 2), "user": TEXTS,
}  # fmt: skip
_OLLAMA_FORMAT = st.one_of(st.just("json"), SCHEMAS)
_CHAT_FORMAT = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(("text", "json_object"))}),
    st.fixed_dictionaries(
        {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"name": TEXTS, "schema": SCHEMAS})}
    ),
)
NEEDED: Mapping[str, dict[str, st.SearchStrategy[Any]]] = {
    "/api/chat": {"messages": MESSAGES},
    "/api/generate": {"prompt": TEXTS},
    "/api/embed": {"input": STOPS},
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": TEXTS},
    "/v1/embeddings": {"input": STOPS},
}
FIELDS: Mapping[str, dict[str, st.SearchStrategy[Any]]] = {
    "/api/chat": _OLLAMA | {"tools": TOOLS, "format": _OLLAMA_FORMAT, "think": st.booleans()},
    "/api/generate": _OLLAMA
    | {"system": TEXTS, "raw": st.booleans(), "context": st.lists(SMALL, max_size=9), "format": _OLLAMA_FORMAT},
    "/api/embed": _OLLAMA | {"truncate": st.booleans(), "dimensions": SMALL},
    "/v1/chat/completions": _OPENAI
    | {"tools": TOOLS, "response_format": _CHAT_FORMAT, "logprobs": st.booleans(), "top_logprobs": st.integers(0, 20)},
    "/v1/completions": _OPENAI | {"logprobs": st.integers(0, 5), "echo": st.booleans(), "best_of": st.just(1)},
    "/v1/embeddings": _OPENAI | {"dimensions": SMALL, "encoding_format": st.sampled_from(("float", "base64"))},
}


@st.composite
def requests(draw: st.DrawFn, models: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """A route and a body for one of `models`; in half of them one or two fields have a value of any kind."""
    route = draw(st.sampled_from(ROUTES))
    fields = NEEDED[route] | FIELDS[route]
    chosen = {*NEEDED[route], *draw(st.sets(st.sampled_from(sorted(FIELDS[route])), max_size=5))}
    wild = draw(st.sets(st.sampled_from(sorted(fields)), min_size=1, max_size=2)) if draw(st.booleans()) else set()
    body = {name: draw(ANYTHING if name in wild else fields[name]) for name in sorted(chosen | wild)}
    return route, _bounded(route, body) | {"model": draw(st.sampled_from(models))}


def _bounded(route: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer kept short: it is the request that is tried."""
    if route.startswith("/v1/"):
        return body | {"max_tokens": MOST_TOKENS}
    options = body.get("options", {})
    return body | {"options": {**options, "num_predict": MOST_TOKENS}} if isinstance(options, dict) else body
