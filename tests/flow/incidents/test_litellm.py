"""LiteLLM's and Open WebUI's: what a Python gateway for models got wrong before us."""

from typing import Any

import pytest

from policies.errors import Refused
from tests.flow.gates import TestGate
from tests.flow.incidents.asked import CHAT, demand_no_effect, demand_no_route

ROUTES = [
    ("CVE-2024-4890", "POST", "/team/update"),
    ("CVE-2025-45809", "POST", "/key/block"),
    ("CVE-2026-35029", "POST", "/config/update"),
    ("CVE-2026-47101", "POST", "/key/generate"),
    ("CVE-2026-47102", "POST", "/user/update"),
    ("CVE-2024-5710", "POST", "/team/new"),
    ("CVE-2025-0628", "GET", "/user/info"),
    ("CVE-2024-6825", "POST", "/mcp/server/create"),
    ("CVE-2026-30623", "POST", "/mcp-rest/test/connection"),
    ("CVE-2026-42271", "POST", "/mcp/tools/list"),
    ("CVE-2026-40217", "POST", "/guardrails/test_custom_code"),
    ("CVE-2026-59821", "POST", "/guardrails/apply_guardrail"),
    ("CVE-2026-42203", "POST", "/prompts/test"),
    ("CVE-2026-59819", "POST", "/health/test_connection"),
    ("CVE-2026-59820", "POST", "/v1/skills"),
    ("CVE-2024-4888", "POST", "/audio/transcriptions"),
    ("CVE-2025-11203", "GET", "/health"),
    ("CVE-2024-5225", "GET", "/global/spend/logs"),
]
FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("CVE-2024-6587", {"api_base": "http://evil.example", "base_url": "http://evil.example"}),
    ("PYSEC-2026-4070", {"user_config": {"model_list": []}, "api_key": "sk-x"}),
    ("CVE-2026-59819", {"litellm_params": {"api_key": "os.environ/SECRET"}}),
    ("CVE-2024-2952", {"chat_template": "{{ cycler.__init__.__globals__ }}"}),
    ("CVE-2024-6825 callbacks", {"post_call_rules": "os.system", "callbacks": ["x"]}),
    ("metadata", {"metadata": {"tags": ["x"]}, "user": "root", "mock_response": "owned", "fallbacks": ["secret"]}),
]
INJECTIONS = [
    f"{before}{core}{after}"
    for before in ("", "sk-", "corral_", "corral_AAAAAAAAAAAA_", "x")
    for core in (
        "' OR '1'='1",
        "' UNION SELECT 1--",
        "';DROP TABLE keys;--",
        '" OR ""="',
        "\\'; --",
        "1) OR (1=1",
        "%27%20OR%201=1",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "$(id)",
        "`id`",
        '{"$ne":null}',
        "[$regex]=.*",
        "admin'--",
        "*)(uid=*))(|(uid=*",
        "\\x00",
        "../../keys.db",
        "|cat /etc/passwd",
        "0x27",
        "\u02bc OR 1=1",
    )
    for after in ("", "--")
]


@pytest.mark.parametrize(("method", "target"), [row[1:] for row in ROUTES], ids=[row[0] for row in ROUTES])
async def test_no_route_leads_there(gate: TestGate, method: str, target: str) -> None:
    await demand_no_route(gate, method, target, {"x": 1} if method == "POST" else None)


@pytest.mark.parametrize("fields", [row[1] for row in FIELDS], ids=[row[0] for row in FIELDS])
async def test_the_field_reaches_nothing(gate: TestGate, fields: dict[str, Any]) -> None:
    await demand_no_effect(gate, CHAT, fields)


async def test_cve_2026_42208_sql_in_a_key_is_refused_before_any_look_up(gate: TestGate, monkeypatch: Any) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(type(gate.store), "get", lambda _store, key_id: looked_up.append(key_id))
    assert len(INJECTIONS) == 200
    for text in INJECTIONS:
        for header in ("Authorization", "x-api-key"):
            value = f"Bearer {text}" if header == "Authorization" else text
            reply, request = await gate.send("POST", CHAT, b"{}", key=None, headers=((header, value),))
            assert reply.status == 401
            assert not request.body_read
    assert not looked_up


@pytest.mark.parametrize("credential", ["Bearer x", "Bearer null", "Bearer undefined", "Basic Og==", "Bearer {}", "x"])
async def test_cve_2026_59822_a_made_up_credential_is_nobody_on_every_route(gate: TestGate, credential: str) -> None:
    for listener, table in gate.gate.routes.items():
        for route in table.routes:
            if route.scope == "open":
                continue
            path = route.path.replace("{model}", "m")
            reply, _ = await gate.send(
                route.method_names[0], path, key=None, headers=(("Authorization", credential),), listener=listener
            )
            assert reply.status == 401
    assert not gate.engine.calls
    assert not gate.accepted


@pytest.mark.parametrize("fault", [Refused("any"), RuntimeError("any"), OSError("any"), KeyError("any")])
@pytest.mark.parametrize(
    "place",
    [
        "gateway.keys.api_key_verifier.verify_api_key",
        "gateway.keys.key_store.KeyStore.get",
        "gateway.identity.Identity.allowance",
        "gateway.request.team_of",
        "gateway.request.authorize_scope",
        "policies.addresses.networks.Networks.require",
    ],
)
async def test_a_fault_in_the_way_of_a_check_lets_nobody_through(
    gate: TestGate, monkeypatch: pytest.MonkeyPatch, place: str, fault: Exception
) -> None:
    def broken(*_arguments: Any, **_named: Any) -> None:
        raise fault

    monkeypatch.setattr(place, broken)
    reply, _ = await gate.send("POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "a"}]})
    assert reply.status >= 400
    assert not gate.engine.calls


async def test_cve_2026_49468_no_route_is_read_from_the_host(gate: TestGate) -> None:
    for host in (
        "localhost:4000/#@x",
        "x/?y=",
        "localhost/health/live",
        "localhost:4000/#@y",
        "a@localhost",
        "localhost?",
    ):
        reply, _ = await gate.send("GET", "/metrics", key="metrics", host=host, listener="admin")
        assert reply.status == 400


async def test_cve_2024_9606_no_part_of_a_key_is_in_the_log(gate: TestGate) -> None:
    key = gate.keys["one"]
    await gate.send("POST", CHAT, {"model": key, "messages": [{"role": "user", "content": "a"}]})
    await gate.send("POST", CHAT, {"model": "m"}, key=key[:-1] + ("A" if key[-1] != "A" else "B"))
    secret = key.split("_")[2]
    written = repr(gate.log.entries)
    assert all(secret[at : at + 6] not in written for at in range(len(secret) - 6))


async def test_cve_2025_11203_health_says_a_status_and_nothing_else(gate: TestGate) -> None:
    for path in ("/health/live", "/health/ready"):
        reply, _ = await gate.send("GET", path, key=None)
        assert reply.body in (b'{"status":"alive"}', b'{"status":"ready"}')


async def test_cve_2024_8984_multipart_is_not_parsed(gate: TestGate) -> None:
    boundary = "-" * 70_000
    body = f"--{boundary}\r\n".encode() * 3
    headers = (("Content-Type", f"multipart/form-data; boundary={'-' * 7000}"),)
    reply, _ = await gate.send("POST", CHAT, body, headers=headers)
    assert reply.status == 400


async def test_cve_2026_45365_no_argument_of_ours_comes_from_the_query(gate: TestGate) -> None:
    body = {"model": "secret", "messages": [{"role": "user", "content": "a"}]}
    for query in ("bypass_filter=true", "url_idx=0", "model=m", "listener=admin", "team=two", "scope=admin"):
        reply, _ = await gate.send("POST", f"/api/chat?{query}", body)
        assert reply.status == 404


async def test_cve_2026_59224_no_identity_header_is_believed(gate: TestGate) -> None:
    headers = tuple(
        (f"X-{name}", "two") for name in ("OpenWebUI-User-Id", "Forwarded-User", "Team", "Corral-Team", "User")
    )
    body = {"model": "secret", "messages": [{"role": "user", "content": "a"}]}
    reply, _ = await gate.send("POST", "/api/chat", body, headers=headers)
    assert reply.status == 404
