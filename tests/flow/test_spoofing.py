"""Spoofed origins (threats T5 and T6; oauth2-proxy CVE-2026-40575, CVE-2025-64484, issue 3506).

Invariant: whatever a peer that is no trusted proxy says of addresses, hosts, paths, methods and users, the record
of its request is the one it would have had without a word: same client, same route, same decision. A header whose
name a server further on could take for another is refused.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.request import handle
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import TestGate

pytestmark = pytest.mark.slow

Headers = tuple[tuple[str, str], ...]

ALLOWED, OUTSIDE, PROXY = "127.0.0.9", "192.0.2.66", "10.0.0.1"
FAMILIES = ("x-forwarded-for", "forwarded", "proxy-v2")


def spoofs(claimed: str) -> dict[str, Headers]:
    """Each case: what a client says to be taken for `claimed`, or for somebody asking elsewhere."""
    return {
        "xff": (("X-Forwarded-For", claimed),),
        "xff lower": (("x-forwarded-for", claimed),),
        "xff upper": (("X-FORWARDED-FOR", claimed),),
        "xff port": (("X-Forwarded-For", f"{claimed}:443"),),
        "xff mapped": (("X-Forwarded-For", f"::ffff:{claimed}"),),
        "xff list": (("X-Forwarded-For", f"6.6.6.6, {claimed}"),),
        "xff through proxy": (("X-Forwarded-For", f"{claimed}, {PROXY}"),),
        "xff lines": (("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", claimed)),
        "xff garbage": (("X-Forwarded-For", "<script>, unknown, "),),
        "xff empty": (("X-Forwarded-For", ""),),
        "xff long": (("X-Forwarded-For", ",".join([claimed] * 200)),),
        "forwarded": (("Forwarded", f"for={claimed}"),),
        "forwarded quoted": (("Forwarded", f'for="{claimed}:80";proto=https;host=localhost'),),
        "forwarded by": (("Forwarded", f"by={PROXY};for={claimed}"),),
        "forwarded open quote": (("Forwarded", 'for="'),),
        "forwarded lines": (("Forwarded", "for=6.6.6.6"), ("Forwarded", f"for={claimed}")),
        "both": (("X-Forwarded-For", claimed), ("Forwarded", f"for={claimed}")),
        "real ip": (("X-Real-IP", claimed),),
        "client ip": (("X-Client-IP", claimed), ("Client-IP", claimed)),
        "true client": (("True-Client-IP", claimed), ("CF-Connecting-IP", claimed), ("Fastly-Client-IP", claimed)),
        "cluster": (("X-Cluster-Client-IP", claimed), ("X-Envoy-External-Address", claimed)),
        "azure": (("X-Azure-ClientIP", claimed), ("X-Azure-SocketIP", claimed)),
        "remote addr": (("Remote-Addr", claimed), ("X-Remote-Addr", claimed), ("X-Remote-IP", claimed)),
        "originating": (("X-Originating-IP", claimed), ("X-Forwarded", claimed), ("Forwarded-For", claimed)),
        "via": (("Via", f"1.1 {claimed}"),),
        "proxy v1 line": (("PROXY", f"TCP4 {claimed} {PROXY} 1 443"),),
        "host": (("X-Forwarded-Host", "admin.internal"),),
        "hosts": (("X-Host", "admin.internal"), ("X-Original-Host", "admin.internal"), ("X-Forwarded-Server", "a")),
        "port": (("X-Forwarded-Port", "8444"),),
        "proto": (("X-Forwarded-Proto", "http"), ("X-Forwarded-Scheme", "http"), ("Front-End-Https", "off")),
        "uri": (("X-Forwarded-Uri", "/health/live"),),
        "path": (("X-Forwarded-Path", "/"), ("X-Forwarded-Prefix", "/health")),
        "original url": (("X-Original-URL", "/health/live"), ("X-Original-URI", "/health/live")),
        "rewrite": (("X-Rewrite-URL", "/health/live"),),
        "method": (("X-Forwarded-Method", "HEAD"), ("X-HTTP-Method-Override", "HEAD"), ("X-Original-Method", "HEAD")),
        "user": (("X-Forwarded-User", "admin"), ("X-Forwarded-Email", "a@b"), ("X-Forwarded-Groups", "admin")),
        "auth request": (("X-Auth-Request-User", "admin"), ("X-Remote-User", "admin"), ("Remote-User", "admin")),
        "certificate": (("X-SSL-Client-Verify", "SUCCESS"), ("X-Forwarded-Client-Cert", "Subject=admin")),
        "nominated": (("X-Forwarded-For", claimed), ("Connection", "X-Forwarded-For")),
        "nominated credential": (("Connection", "Authorization, Host, X-Real-IP"), ("X-Real-IP", claimed)),
        "health check": (("User-Agent", "kube-probe/1.30"), ("X-Health-Check", "1")),
    }  # fmt: skip


UNDERSCORED = [
    "X_Forwarded_For", "x-forwarded_for", "X_Forwarded-For", "X_Real_IP", "X-Forwarded_User", "X_Forwarded_Host",
    "X_Forwarded_Uri", "Remote_Addr", "HTTP_X_FORWARDED_FOR", "Authori_zation",
]  # fmt: skip


@pytest.fixture(params=FAMILIES)
async def gate(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path, trusted_proxies=("10.0.0.0/8",), forwarded_header=request.param).start()
    yield gate
    await gate.close()


async def told(gate: TestGate, headers: Headers, peer: str, **incoming: Any) -> tuple[int, bytes, list[dict[str, Any]]]:
    """Status, body and records of one request."""
    before = len(gate.log.entries)
    reply, _ = await gate.send("GET", "/api/tags", headers=headers, peer=peer, **incoming)
    records = [{**entry, "req_id": ""} for entry in gate.log.entries[before:]]
    return reply.status, reply.body, records


def test_there_are_forty_cases() -> None:
    assert len(spoofs(ALLOWED)) >= 40


async def test_who_is_outside_stays_outside(gate: TestGate) -> None:
    status, _, records = plain = await told(gate, (), OUTSIDE)
    assert (status, records[0]["src"]["ip"]) == (403, OUTSIDE)
    assert (records[0]["decision"]["reason"], records[0]["decision"]["rule"]) == ("global_network", "not in allow")
    for name, headers in spoofs(ALLOWED).items():
        assert (await told(gate, headers, OUTSIDE))[0::2] == plain[0::2], name


async def test_who_is_inside_stays_who_he_is(gate: TestGate) -> None:
    status, _, records = plain = await told(gate, (), ALLOWED)
    assert (status, records[0]["src"]["ip"]) == (200, ALLOWED)
    for name, headers in spoofs("127.0.0.1").items():
        assert await told(gate, headers, ALLOWED) == plain, name


@pytest.mark.parametrize("header", UNDERSCORED)
@pytest.mark.parametrize("peer", [ALLOWED, OUTSIDE, PROXY])
async def test_a_name_with_an_underscore_is_refused(gate: TestGate, header: str, peer: str) -> None:
    status, _, records = await told(gate, ((header, ALLOWED),), peer)
    assert (status, records[0]["event"]) == (400, "request.rejected")
    assert "ip" not in records[0]["src"]


async def test_a_trusted_proxy_is_believed_in_one_family_only(tmp_path: Path) -> None:
    headers: Headers = (("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.2"), ("X-Real-IP", "127.0.0.3"))
    found = {}
    for family in FAMILIES:
        (tmp_path / family).mkdir()
        gate = await TestGate(tmp_path / family, trusted_proxies=("10.0.0.0/8",), forwarded_header=family).start()
        status, _, records = await told(gate, headers, PROXY)
        found[family] = (status, records[0]["src"]["ip"], records[0]["src"]["peer"])
        await gate.close()
    assert found == {
        "x-forwarded-for": (200, "127.0.0.1", PROXY),
        "forwarded": (200, "127.0.0.2", PROXY),
        "proxy-v2": (403, PROXY, PROXY),
    }


@pytest.mark.parametrize("named", ["X-Forwarded-For", "Authorization", "Host", "close, X-Forwarded-For, Authorization"])
async def test_a_header_named_in_connection_decides_as_if_it_were_not(tmp_path: Path, named: str) -> None:
    gate = await TestGate(tmp_path, trusted_proxies=("10.0.0.0/8",)).start()
    forwarded: Headers = (("X-Forwarded-For", "127.0.0.1"),)
    assert await told(gate, (*forwarded, ("Connection", named)), PROXY) == await told(gate, forwarded, PROXY)
    refused: Headers = (("X-Forwarded-For", OUTSIDE),)
    assert await told(gate, (*refused, ("Connection", named)), PROXY) == await told(gate, refused, PROXY)
    await gate.close()


async def test_the_announcing_proxy_is_in_the_record(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path, trusted_proxies=("10.0.0.0/8",), forwarded_header="proxy-v2").start()
    incoming = FakeIncoming("GET", "/api/tags", peer=ALLOWED)
    incoming.via = PROXY
    await handle(gate.gate, incoming, FakeReply())
    assert gate.log.entries[-1]["src"]["via"] == PROXY
    await gate.close()
