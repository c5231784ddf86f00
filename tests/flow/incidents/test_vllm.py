"""vLLM's and text-generation-webui's: fields that reached torch or a template, fetched URLs, routes without a key."""

import json
from typing import Any

import pytest

from tests.flow.gates import TestGate
from tests.flow.incidents.asked import CHAT, COMPLETIONS, MARK, demand_no_effect, demand_no_route, demand_refused

IGNORED: list[tuple[str, dict[str, Any]]] = [
    ("CVE-2024-8939", {"best_of": 1_000_000}),
    ("CVE-2024-11040", {"use_beam_search": True, "best_of": 64}),
    ("CVE-2025-25183", {"cache_salt": "another team's"}),
    ("CVE-2025-46570", {"cache_salt": ""}),
    ("CVE-2025-29770", {"guided_json": {"type": "object"}, "guided_decoding_backend": "outlines"}),
    ("CVE-2025-32381", {"guided_grammar": "root ::= 'x'"}),
    ("CVE-2025-48942", {"guided_json": {"type": "no such type"}}),
    ("CVE-2025-48943", {"guided_regex": "(["}),
    ("CVE-2025-71379", {"lora_request": "((a+)+)+$", "guided_regex": "((a+)+)+$"}),
    ("CVE-2025-61620", {"chat_template": "{% for i in range(10**9) %}x{% endfor %}"}),
    ("CVE-2025-62164", {"prompt_embeds": "gASVAAAAAA=="}),
    ("CVE-2025-62426", {"chat_template_kwargs": {"tokenize": True, "chat_template": "x"}}),
    ("CVE-2026-44223", {"repetition_penalty": 1e308, "speculative_config": {}}),
    ("CVE-2026-54234", {"speculative_config": {"num_speculative_tokens": 0}}),
    ("CVE-2026-55514", {"prompt_embeds": ["x"]}),
    ("CVE-2026-55574", {"structured_outputs": {"regex": "(a+)+$"}}),
    ("CVE-2026-73556", {"structured_outputs": {"regex": "(((a*)*)*)*$"}}),
    ("CVE-2026-56340", {"prompt_embeds": {"layout": "sparse"}}),
    ("CVE-2026-73557", {"prompt_embeds": "x"}),
    ("CVE-2026-94622", {"kv_transfer_params": {"do_remote_prefill": True, "remote_host": "evil.example"}}),
    ("CVE-2026-94626", {"kv_transfer_params": "x"}),
    ("CVE-2026-92365", {"thinking_token_budget": 10**12}),
    ("CVE-2026-116180", {"prompt_logprobs": 10**9}),
    ("priority of the caller", {"priority": -1000}),
    (
        "fields that end or widen an answer",
        {"ignore_eos": True, "min_tokens": 10**9, "echo": True, "logits_processors": ["x"]},
    ),
    ("fields of other engines", {"vllm_xargs": {"a": 1}, "mm_processor_kwargs": {"a": 1}, "documents": [{"a": 1}]}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("CVE-2026-34756", {"n": 100_000}),
    ("CVE-2026-54235 as text", {"temperature": "NaN"}),
    ("a number out of range", {"temperature": 1e300}),
    ("a boolean for a number", {"max_tokens": True}),
    ("a negative bound", {"max_tokens": -1}),
]
PICTURES: list[tuple[str, dict[str, Any]]] = [
    ("CVE-2025-6242", {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data/"}}),
    ("CVE-2026-24779", {"type": "image_url", "image_url": {"url": "http://allowed\\@169.254.169.254/"}}),
    ("CVE-2026-25960", {"type": "image_url", "image_url": {"url": "http://allowed.example@[::ffff:7f00:1]/"}}),
    ("CVE-2025-62372", {"type": "image_embeds", "image_embeds": "gASV"}),
    ("CVE-2026-22778", {"type": "video_url", "video_url": {"url": "http://evil.example/v.mp4"}}),
    ("CVE-2026-34755", {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + "AA,," * 1000}}),
    ("CVE-2026-54233", {"type": "input_audio", "input_audio": {"data": "AA==", "format": "opus"}}),
    ("CVE-2026-22773", {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    ("CVE-2026-54009 a file of the gateway", {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
    ("a name for a picture", {"type": "image_url", "image_url": {"url": "../../etc/passwd"}}),
]
ROUTES = [
    ("CVE-2026-22778 invocations", "POST", "/invocations"),
    ("CVE-2026-34753", "POST", "/v1/batches"),
    ("CVE-2026-54233 transcriptions", "POST", "/v1/audio/transcriptions"),
    ("CVE-2025-62426 tokenize", "POST", "/tokenize"),
    ("pooling", "POST", "/pooling"),
    ("score", "POST", "/score"),
    ("rerank", "POST", "/rerank"),
    ("pause", "POST", "/pause"),
    ("abort", "POST", "/abort_requests"),
    ("weights", "POST", "/update_weights"),
    ("collective_rpc", "POST", "/collective_rpc"),
    ("server_info", "GET", "/server_info"),
    ("sleep", "POST", "/sleep"),
    ("profiler", "POST", "/start_profile"),
    ("adapters", "POST", "/v1/load_lora_adapter"),
    ("documents", "GET", "/openapi.json"),
    ("CVE-2025-12487", "POST", "/v1/internal/model/load"),
    ("CVE-2025-12488", "POST", "/v1/internal/model/load"),
    ("everybody's stop", "POST", "/v1/internal/stop-generation"),
    ("logits", "POST", "/v1/internal/logits"),
]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", [row[1] for row in IGNORED], ids=[row[0] for row in IGNORED])
async def test_the_field_reaches_nothing(gate: TestGate, path: str, fields: dict[str, Any]) -> None:
    await demand_no_effect(gate, path, fields)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("fields", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_the_value_is_refused(gate: TestGate, path: str, fields: dict[str, Any]) -> None:
    await demand_refused(gate, path, fields)


@pytest.mark.parametrize("part", [row[1] for row in PICTURES], ids=[row[0] for row in PICTURES])
async def test_nothing_is_fetched_or_decoded(gate: TestGate, part: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is this"}, part]}]
    await demand_refused(gate, CHAT, {"messages": messages})


@pytest.mark.parametrize(("method", "target"), [row[1:] for row in ROUTES], ids=[row[0] for row in ROUTES])
async def test_no_route_leads_there(gate: TestGate, method: str, target: str) -> None:
    await demand_no_route(gate, method, target, {"model": "m"} if method == "POST" else None)


@pytest.mark.parametrize("path", [COMPLETIONS, "/api/generate"])
async def test_cve_2024_8768_an_empty_prompt(gate: TestGate, path: str) -> None:
    reply, _ = await gate.send("POST", path, {"model": "m", "prompt": ""})
    assert reply.status in (200, 400)
    assert not gate.bugs


@pytest.mark.parametrize("text", ["<|image_1|>" * 5000, "<|vision_start|><|im_end|>"])
async def test_cve_2025_46560_and_2026_44222_a_text_that_spells_tokens_is_text(gate: TestGate, text: str) -> None:
    await gate.send("POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": text}]})
    [call] = gate.engine.calls
    assert call.messages[-1].content == text
    assert not call.messages[-1].images


async def test_cve_2025_48944_and_105757_a_bad_schema_in_a_tool(gate: TestGate) -> None:
    schema = {"type": "evil", "properties": {"a": {"type": 7, "pattern": "(a+)+$"}}, "required": "x"}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    reply, _ = await gate.send(
        "POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": tools}
    )
    assert reply.status in (200, 400)
    assert not gate.bugs


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_cve_2026_54235_no_number_that_is_none(gate: TestGate, literal: str) -> None:
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": "a"}}], "temperature": {literal}}}'
    reply, _ = await gate.send("POST", CHAT, body.encode())
    assert reply.status == 400
    assert not gate.engine.calls


async def test_cve_2026_73555_and_2026_54236_an_error_holds_no_path_no_address_and_no_input(gate: TestGate) -> None:
    for body in (b'{"model": "' + MARK.encode(), b"\xff" + MARK.encode(), MARK.encode() * 100, b"[" * 500):
        reply, _ = await gate.send("POST", CHAT, body)
        assert reply.status == 400
        text = reply.body.decode()
        assert not [trace for trace in (MARK, "Traceback", ".py", "0x", "/usr", "line ") if trace in text]


async def test_cve_2026_73559_a_list_of_prompts_is_not_fanned_out(gate: TestGate) -> None:
    await demand_refused(gate, COMPLETIONS, {"prompt": ["a"] * 100_000})


async def test_cve_2026_47155_a_team_cannot_name_a_revision_or_file(gate: TestGate) -> None:
    for name in ("m@main", "m:latest@sha256:0", "/srv/models/m.gguf"):
        await demand_refused(gate, CHAT, {"model": name}, 400, 404)


async def test_cve_2025_25183_and_46570_cached_prefixes_stay_within_the_team(gate: TestGate) -> None:
    scopes = set()
    for key in ("one", "two"):
        await gate.send("POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "a"}]}, key=key)
        scopes.add(gate.engine.calls[-1].cache_scope)
    assert scopes == {"team:one", "team:two"}


async def test_cve_2025_64496_an_upstreams_events_are_typed_and_nothing_else_passes(gate: TestGate) -> None:
    """Open WebUI passed an `execute` event on; here only the renderer of the dialect makes bytes."""
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": True}
    reply, _ = await gate.send("POST", CHAT, body)
    events = [line for line in reply.body.decode().split("\n\n") if line]
    assert all(event.startswith("data: ") for event in events)
    assert {json.loads(event[6:])["object"] for event in events[:-1]} == {"chat.completion.chunk"}
