"""llama.cpp's and its server's: parameters that reach unsafe code, and routes that show other people's slots."""

from typing import Any

import pytest

from tests.flow.gates import TestGate
from tests.flow.incidents.asked import CHAT, COMPLETIONS, demand_no_effect, demand_no_route, demand_refused

FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("CVE-2026-21869", {"n_discard": -1, "n_keep": -5}),
    ("CVE-2026-107183", {"chat_parser": "x" * 100, "chat_format": 9}),
    ("slot chosen by the caller", {"id_slot": 0, "slot_id": 0}),
    ("cache shared by the caller", {"cache_prompt": True, "n_cache_reuse": 1}),
    ("adapter chosen by the caller", {"lora": [{"id": 0, "scale": 1e9}]}),
    ("llama.cpp 18990 and 22234 grammars", {"grammar": "root ::= root root", "grammar_lazy": True}),
    (
        "server internals",
        {"return_tokens": True, "post_sampling_probs": True, "t_max_predict_ms": -1, "samplers": ["x"]},
    ),
]
ROUTES = [
    ("CVE-2026-43629", "POST", "/slots/0?action=restore"),
    ("CVE-2026-43629 save", "POST", "/slots/0?action=save"),
    ("CVE-2026-43631", "POST", "/tokenize"),
    ("CVE-2026-43632", "GET", "/props"),
    ("slots show prompts", "GET", "/slots"),
    ("native completion", "POST", "/completion"),
    ("native infill", "POST", "/infill"),
    ("resumable streams of others", "GET", "/v1/streams"),
    ("a shell", "POST", "/tools"),
    ("a proxy", "GET", "/cors-proxy"),
    ("adapters", "POST", "/lora-adapters"),
    ("router", "POST", "/models/load"),
    ("CVE-2024-34359 extras", "POST", "/extras/tokenize"),
]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, "/api/chat", "/api/generate"])
@pytest.mark.parametrize("fields", [row[1] for row in FIELDS], ids=[row[0] for row in FIELDS])
async def test_the_field_reaches_nothing(gate: TestGate, path: str, fields: dict[str, Any]) -> None:
    await demand_no_effect(gate, path, fields)


@pytest.mark.parametrize(("method", "target"), [row[1:] for row in ROUTES], ids=[row[0] for row in ROUTES])
async def test_no_route_leads_there(gate: TestGate, method: str, target: str) -> None:
    await demand_no_route(gate, method, target, {"filename": "x"} if method == "POST" else None)


async def test_cve_2025_52566_a_very_long_text_is_bounded_before_any_tokenizer(gate: TestGate) -> None:
    gate.gate.body_limit_bytes = 64 * 1024
    reply, request = await gate.send("POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "a"}]})
    assert reply.status == 200
    assert request.limit_bytes == 64 * 1024


async def test_cve_2024_34359_a_callers_chat_template_is_no_template(gate: TestGate) -> None:
    template = "{{ ().__class__.__base__.__subclasses__() }}"
    await demand_no_effect(gate, CHAT, {"chat_template": template, "chat_template_kwargs": {"x": template}})


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}])
async def test_schema_bombs_are_the_preparers_to_judge_and_no_bug_here(gate: TestGate, schema: Any) -> None:
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    messages = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    reply, _ = await gate.send("POST", CHAT, messages | body)
    assert reply.status in (200, 400)
    assert not gate.bugs


async def test_an_unknown_kind_of_format_is_refused(gate: TestGate) -> None:
    await demand_refused(gate, CHAT, {"response_format": {"type": "regex", "regex": "(a+)+$"}})
