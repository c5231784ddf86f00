"""oauth2-proxy's and other gates': headers and paths that talked them out of asking."""

import pytest

from tests.flow.gates import TestGate

SECRET = "/api/tags"
FORWARDING = (
    ("X-Forwarded-Uri", "/health/live"),
    ("X-Forwarded-Path", "/"),
    ("X-Original-URL", "/"),
    ("X-Rewrite-URL", "/health/live"),
    ("X-Original-URI", "/"),
    ("X-Forwarded-Method", "GET"),
    ("X-HTTP-Method-Override", "GET"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-User", "root"),
    ("X-Forwarded-Email", "root@localhost"),
    ("X-Auth-Request-User", "root"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-IP", "127.0.0.1"),
    ("True-Client-IP", "127.0.0.1"),
    ("CF-Connecting-IP", "127.0.0.1"),
    ("Forwarded", "for=127.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("Via", "1.1 localhost"),
    ("Connection", "Authorization"),
    ("Connection", "X-Forwarded-For"),
)


@pytest.mark.parametrize("header", FORWARDING, ids=lambda pair: pair[0])
async def test_cve_2026_40575_no_header_names_another_path_person_or_place(
    gate: TestGate, header: tuple[str, str]
) -> None:
    stranger, _ = await gate.send("GET", SECRET, key=None, headers=(header,))
    assert stranger.status == 401
    elsewhere, _ = await gate.send("GET", SECRET, headers=(header,), peer="203.0.113.9")
    assert elsewhere.status == 403
    known, _ = await gate.send("GET", SECRET, headers=(header,))
    assert known.status == 200


@pytest.mark.parametrize("agent", ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Ollama", ""])
async def test_cve_2026_34457_no_user_agent_opens_a_route(gate: TestGate, agent: str) -> None:
    for listener, table in gate.gate.routes.items():
        for route in table.routes:
            if route.scope != "open":
                path = route.path.replace("{model}", "m")
                headers = (("User-Agent", agent),)
                reply, _ = await gate.send(route.method_names[0], path, key=None, headers=headers, listener=listener)
                assert reply.status == 401


@pytest.mark.parametrize(
    "target",
    [
        "/api/tags#/health/live",
        "/health/live#/../../api/tags",
        "/api/tags%23/health/live",
        "/health/live/../../api/tags",
        "/health/live/%2e%2e/%2e%2e/api/tags",
        "/health/live;/api/tags",
        "//api/tags",
        "/health/live%2f..%2f..%2fapi%2ftags",
        "/%252e%252e/api/tags",
        "/api/tags%00/health/live",
        "/health/live\\..\\..\\api\\tags",
        "/API/TAGS",
        "/api/tags/",
        "/health/live%2525252e%2525252e%2525252fapi",
    ],
)
async def test_cve_2026_41059_and_59221_a_path_is_read_in_one_way(gate: TestGate, target: str) -> None:
    reply, _ = await gate.send("GET", target, key=None)
    assert reply.status in (400, 401)


@pytest.mark.parametrize("query", ["/health/live", "path=/health/live", "?/health/live", "a=/../health/live"])
async def test_ghsa_7rh7_a_query_is_no_path(gate: TestGate, query: str) -> None:
    reply, _ = await gate.send("GET", f"{SECRET}?{query}", key=None)
    assert reply.status == 401


@pytest.mark.parametrize(
    "name", ["X_Forwarded_For", "x_forwarded_user", "Content_Length", "Transfer_Encoding", "X_Api_Key"]
)
async def test_cve_2025_64484_a_name_with_an_underscore_is_refused(gate: TestGate, name: str) -> None:
    reply, _ = await gate.send("GET", SECRET, headers=((name, "1"),))
    assert reply.status == 400


@pytest.mark.parametrize(
    "pair",
    [("Authorization", "x-api-key"), ("Authorization", "Authorization"), ("x-api-key", "x-api-key"), ("Host", "Host")],
)
async def test_aiohttp_cve_2026_34525_what_decides_stands_once(gate: TestGate, pair: tuple[str, str]) -> None:
    values = {"Authorization": f"Bearer {gate.keys['one']}", "x-api-key": gate.keys["two"], "Host": "localhost"}
    headers = tuple((name, values[name]) for name in pair)
    reply, _ = await gate.send("GET", SECRET, key=None, headers=headers)
    assert reply.status == 400
