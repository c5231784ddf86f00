"""Revocation, lockdown, expiry and the signature of a registered key, through the whole flow."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.keys.key_store import KeyStore
from policies.addresses.networks import Networks
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import JwtCredential
from policies.credentials.ollama_signature import REPEAT_S, WINDOW_S
from policies.credentials.principal import Principal
from policies.credentials.public_key import PublicKeyRecord, public_key_id
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation
from policies.limiting.limit_grant import LimitGrant
from policies.policy import KeyLimits, Team
from tests.fakes import FakeReply
from tests.flow.gates import BOTH, TestGate
from tests.ollama_client import OllamaClient

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CLIENT = OllamaClient()


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    assert gate.bugs == []
    assert gate.running.count() == 0
    await gate.close()


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def streaming(gate: TestGate, key: str = "one") -> "asyncio.Task[tuple[FakeReply, Any]]":
    """A stream that has begun and does not end by itself."""
    gate.engine.hold = gate.engine.hold or asyncio.Event()
    task = asyncio.create_task(gate.send("POST", "/api/chat", CHAT, key=key))
    await settled()
    assert not task.done()
    return task


async def cut(gate: TestGate, task: "asyncio.Task[tuple[FakeReply, Any]]") -> str:
    """The reason in the log, once the stream has ended with an error and its engine is free."""
    reply, _ = await asyncio.wait_for(task, 30)
    assert "error" in json.loads(reply.body.splitlines()[-1])
    assert (gate.log.events()[-1], gate.engine.running) == ("request.cut", 0)
    return str(gate.log.entries[-1]["decision"]["reason"])


async def status(gate: TestGate, key: str = "one") -> int:
    return (await gate.send("GET", "/api/tags", key=key))[0].status


def now_s(gate: TestGate) -> float:
    return gate.clock.unix_ns() / 1e9


def revocation(gate: TestGate, kind: Any, subject: str) -> Revocation:
    return Revocation(kind=kind, subject=subject, at_s=now_s(gate))


class OneToken:
    """Stands where JWTs are verified: every token is anna's, of team one, and lives for a minute."""

    def __init__(self, gate: TestGate) -> None:
        self._gate = gate

    async def verify(self, credential: JwtCredential, certificate: ClientCertificate | None) -> Principal:
        _, issued_s, jti = credential.text.split(".")
        return Principal(
            kind="jwt",
            team="one",
            subject="anna",
            issuer="https://idp.test",
            jti=jti,
            scopes=BOTH,
            networks=Networks(),
            issued_s=float(issued_s),
            expires_s=float(issued_s) + 60,
        )


def with_tokens(gate: TestGate) -> str:
    """Let the gate take tokens; answers one that is issued now."""
    gate.verify_by(tokens=OneToken(gate))
    return token(gate)


def token(gate: TestGate, jti: str = "t1") -> str:
    return f"a.{int(now_s(gate))}.{jti}"


async def test_a_team_is_cut_refused_and_let_in_again_with_what_is_issued_after(gate: TestGate) -> None:
    task = await streaming(gate)
    gate.store.revocations.revoke(revocation(gate, "team", "one"))
    assert await cut(gate, task) == "revoked_team_while_running"
    assert await status(gate) == 401
    assert gate.log.entries[-1]["decision"]["reason"] == "revoked_team"
    assert await status(gate, "two") == 200
    gate.clock.move(1)
    gate.add_key("fresh", "one")
    assert await status(gate, "fresh") == 200


async def test_the_streams_of_others_go_on(gate: TestGate) -> None:
    ours, theirs = await streaming(gate, "one"), await streaming(gate, "two")
    gate.store.revocations.revoke(revocation(gate, "team", "one"))
    await asyncio.wait_for(ours, 30)
    assert not theirs.done()
    assert gate.engine.hold is not None
    gate.engine.hold.set()
    reply, _ = await theirs
    assert json.loads(reply.body.splitlines()[-1])["done"] is True


@pytest.mark.parametrize(("kind", "subject", "name"), [("actor", "anna", "actor"), ("jti", "t1", "token")])
async def test_a_person_or_a_token_is_cut_and_refused(gate: TestGate, kind: str, subject: str, name: str) -> None:
    text = with_tokens(gate)
    task = await streaming(gate, text)
    gate.store.revocations.revoke(revocation(gate, kind, subject))
    assert await cut(gate, task) == f"revoked_{name}_while_running"
    assert await status(gate, text) == 401
    assert gate.log.entries[-1]["decision"]["reason"] == f"revoked_{name}"
    gate.clock.move(1)
    assert await status(gate, token(gate, "t2")) == 200


async def test_the_owner_of_a_key_is_an_actor(gate: TestGate) -> None:
    gate.add_key("annas", "one", owner="anna")
    task = await streaming(gate, "annas")
    gate.store.revocations.revoke(revocation(gate, "actor", "anna"))
    assert await cut(gate, task) == "revoked_actor_while_running"
    assert [await status(gate, key) for key in ("annas", "one")] == [401, 200]


@pytest.mark.parametrize(("team", "others"), [("one", 200), (ALL_TEAMS, 403)])
async def test_a_lockdown_cuts_and_refuses_until_it_is_lifted(gate: TestGate, team: str, others: int) -> None:
    task = await streaming(gate)
    gate.store.revocations.lock(Lockdown(team=team, since_s=now_s(gate)))
    assert (await cut(gate, task)).startswith("lockdown_")
    gate.clock.move(1)
    gate.add_key("fresh", "one")
    assert [await status(gate, key) for key in ("two", "fresh", "one")] == [others, 403, 403]
    assert gate.log.entries[-1]["event"] == "request.denied"
    assert gate.log.entries[-1]["actor"]["key_id"] == gate.records["one"].id
    gate.store.revocations.lift(team)
    assert [await status(gate, key) for key in ("one", "fresh", "two")] == [200, 200, 200]


async def test_another_gateway_of_the_home_cuts_at_its_next_refresh(gate: TestGate, tmp_path: Path) -> None:
    task = await streaming(gate)
    other = KeyStore.open(tmp_path / "keys.db")
    other.revocations.revoke(revocation(gate, "team", "one"))
    await settled()
    assert not task.done()
    gate.copy.refresh()
    assert await cut(gate, task) == "revoked_team_while_running"
    other.close()


async def test_a_waiting_request_is_refused_too(gate: TestGate) -> None:
    running = [await streaming(gate, "one"), await streaming(gate, "one")]
    waiting = await streaming(gate, "one")
    assert gate.dispatcher.waiting() == 1
    gate.store.revocations.lock(Lockdown(team=ALL_TEAMS, since_s=now_s(gate)))
    reply, _ = await asyncio.wait_for(waiting, 30)
    assert reply.status == 403
    assert gate.dispatcher.waiting() == 0
    await asyncio.gather(*running)


async def test_a_stream_ends_with_its_token(gate: TestGate) -> None:
    task = await streaming(gate, with_tokens(gate))
    gate.clock.move(59)
    gate.streams.look()
    await settled()
    assert not task.done()
    gate.clock.move(1)
    gate.streams.look()
    assert await cut(gate, task) == "expired_while_running"


async def test_a_stream_ends_with_its_key_as_it_stands_now(gate: TestGate) -> None:
    gate.add_key("rotated", "one", expires_s=now_s(gate) + 3600)
    task = await streaming(gate, "rotated")
    gate.clock.move(60)
    gate.streams.look()
    await settled()
    assert not task.done()
    gate.store.save(replace(gate.records["rotated"], overlap_ends_s=now_s(gate)))
    gate.streams.look()
    assert await cut(gate, task) == "expired_while_running"
    assert await status(gate, "rotated") == 401


async def test_without_word_of_revocations_nobody_is_let_in(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path, stale_keys_s=60.0).start()
    with_tokens(gate)
    (tmp_path / "keys.db").rename(tmp_path / "away")
    gate.clock.move(60)
    assert await status(gate) == 200
    gate.clock.move(1)
    assert [await status(gate, key) for key in ("one", "two", token(gate))] == [503, 503, 503]
    assert gate.log.entries[-1]["decision"]["reason"] == "keys_stale"
    assert await status(gate, "revoked") == 401
    (tmp_path / "away").rename(tmp_path / "keys.db")
    gate.copy.refresh()
    assert await status(gate) == 200
    await gate.close()


# ---- Ollama's client signature


def register(gate: TestGate, **changes: object) -> PublicKeyRecord:
    record = PublicKeyRecord(
        id=public_key_id(CLIENT.blob),
        blob=CLIENT.blob,
        team="one",
        owner="anna",
        scopes=BOTH,
        created_s=now_s(gate),
        expires_s=now_s(gate) + 3600,
    )
    gate.store.public_keys.save(replace(record, **changes))
    return record


async def signed(gate: TestGate, method: str, path: str, body: Any = None, *, at_s: float | None = None) -> FakeReply:
    target, authorization = CLIENT.sign(method, path, now_s(gate) if at_s is None else at_s)
    reply, _ = await gate.send(method, target, body, key=None, headers=(("Authorization", authorization),))
    return reply


async def test_what_ollama_run_sends_is_served(gate: TestGate) -> None:
    record = register(gate)
    sent = [
        await signed(gate, "HEAD", "/"),
        await signed(gate, "POST", "/api/show", {"model": "m"}),
        await signed(gate, "POST", "/api/generate", {"model": "m"}),
        await signed(gate, "POST", "/api/chat", CHAT),
    ]
    assert [reply.status for reply in sent] == [200] * 4
    actor = gate.log.entries[-1]["actor"]
    assert (actor["method"], actor["key_id"], actor["name"]) == ("ssh_key", record.id, "anna")


async def test_ollama_ls_twice_in_a_second_is_served_and_a_replay_is_not(gate: TestGate) -> None:
    register(gate)
    at_s = now_s(gate)
    assert [(await signed(gate, "GET", "/api/tags")).status for _ in range(3)] == [200] * 3
    gate.clock.move(REPEAT_S + 1)
    assert (await signed(gate, "GET", "/api/tags", at_s=at_s)).status == 401
    assert gate.log.entries[-1]["decision"]["reason"] == "replayed"
    assert (await signed(gate, "GET", "/api/tags")).status == 200
    gate.clock.move(2 * WINDOW_S)
    assert (await signed(gate, "GET", "/api/tags", at_s=at_s)).status == 401


async def test_an_unregistered_key_and_one_for_another_path_are_refused(gate: TestGate) -> None:
    assert (await signed(gate, "GET", "/api/tags")).status == 401
    register(gate)
    target, authorization = CLIENT.sign("GET", "/api/tags", now_s(gate))
    headers = (("Authorization", authorization),)
    reply, _ = await gate.send("GET", target.replace("tags", "ps"), key=None, headers=headers)
    assert reply.status == 401
    reply, _ = await gate.send("POST", target.replace("tags", "chat"), CHAT, key=None, headers=headers)
    assert reply.status == 401


async def test_a_revoked_public_key_is_cut_and_refused(gate: TestGate) -> None:
    record = register(gate)
    gate.engine.hold = asyncio.Event()
    task = asyncio.create_task(signed(gate, "POST", "/api/chat", CHAT))
    await settled()
    gate.store.public_keys.save(replace(record, revoked_s=now_s(gate)))
    reply = await asyncio.wait_for(task, 30)
    assert b'"error"' in reply.body.splitlines()[-1]
    assert (await signed(gate, "GET", "/api/tags")).status == 401
    assert gate.log.entries[-1]["decision"]["reason"] == "revoked"


# ---- temporary exceptions


async def test_a_grant_widens_a_limit_until_its_time(tmp_path: Path) -> None:
    limits = KeyLimits(requests_per_minute=60, burst_requests=2)
    gate = await TestGate(tmp_path, teams={"one": Team(models=("*",), key_limits=limits)}).start()
    gate.store.grants.save(
        LimitGrant(id="g1", team="one", limit="burst_requests", value=5, until_s=now_s(gate) + 600, made_s=now_s(gate))
    )
    assert [await status(gate) for _ in range(6)] == [200] * 5 + [429]
    gate.clock.move(600)
    assert [await status(gate) for _ in range(3)] == [200, 200, 429]
    await gate.close()
