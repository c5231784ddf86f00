"""`corral policy explain` says what the gate does: the same callers, asked of both."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.explain import Case, explain
from policies.access import ListenerName
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated
from policies.policy import KeyLimits, Team
from tests.flow.gates import TestGate

KEYS = ("one", "two", "metrics", "elsewhere", "teamless", "expired", "revoked", "early")
ADDRESSES = ("127.0.0.1", "127.3.0.1", "192.0.2.9")
ROUTES = (
    ("POST", "/api/chat", "m"),
    ("POST", "/api/chat", "secret"),
    ("POST", "/v1/chat/completions", "nothing"),
    ("POST", "/api/show", "secret"),
    ("GET", "/api/tags", ""),
    ("GET", "/v1/models/secret", ""),
    ("DELETE", "/api/chat", ""),
    ("GET", "/nowhere", ""),
    ("GET", "/metrics", ""),
    ("GET", "/health/live", ""),
    ("GET", "/api/../metrics", ""),
)
LISTENERS: tuple[ListenerName, ...] = ("public", "admin")
LAVISH = KeyLimits(requests_per_minute=10**6, burst_requests=10**6)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    one = Team(models=("m",), networks=Networks(allow=("127.0.0.0/16",)), key_limits=LAVISH)
    gate.take_policy(teams={"one": one, "two": Team(models=("*",), key_limits=LAVISH)})
    yield gate
    await gate.close()


async def really(gate: TestGate, key: str, address: str, listener: ListenerName, route: tuple[str, str, str]) -> str:
    """The reason in the log; empty when it was served."""
    method, path, model = route
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode() if model else None
    gate.log.entries.clear()
    gate.clock.move(60.0)
    await gate.send(method, path, body, key=key, peer=address, listener=listener)
    return str(gate.log.entries[-1]["decision"].get("reason", "")) if gate.log.entries else ""


def explained(gate: TestGate, key: str, address: str, listener: ListenerName, route: tuple[str, str, str]) -> str:
    method, path, model = route

    def prove() -> Principal:
        record = gate.records[key]
        state = record.state(gate.clock.unix_ns() / 1e9)
        if state != "active":
            raise NotAuthenticated(state, presented=True)
        team, scopes, networks = record.team, record.scopes, record.own_networks
        return Principal(kind="api_key", team=team, key_id=record.id, scopes=scopes, networks=networks)

    case = Case(
        method=method,
        target=path,
        address=address,
        listener=listener,
        model=model,
        prove=prove,
        find_model=gate.gate.catalogue.find,
    )
    return explain(case, gate.gate.in_force.policy, gate.gate.routes[listener]).reason


@pytest.mark.parametrize("key", KEYS)
async def test_what_is_explained_is_what_happens(gate: TestGate, key: str):
    reasons = set()
    for address, listener, route in itertools.product(ADDRESSES, LISTENERS, ROUTES):
        happened = await really(gate, key, address, listener, route)
        reasons.add(happened)
        assert explained(gate, key, address, listener, route) == happened, (key, address, listener, route)
    assert gate.bugs == []
    assert {
        "",
        "path_segment",
        "global_network",
    } < reasons  # an explanation that refuses all, or nobody, agrees with none
