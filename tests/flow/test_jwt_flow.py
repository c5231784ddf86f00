"""Tokens of an identity provider through the whole flow: real signatures, keys from a file, every answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.configuration.config import load_config
from gateway.incoming import TlsFacts
from gateway.policy_in_force import PolicyInForce
from gateway.request import handle
from gateway.setting import Setting
from gateway.tokens.key_set_fetch import FileFetch
from gateway.tokens.key_set_source import KeySetSource
from gateway.tokens.token_verifier import TokenVerifier
from policies.addresses.networks import Networks, read_address
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.revocation import Lockdown, Revocation
from policies.errors import PolicyUnavailable
from policies.policy import Policy, Team
from policies.tokens.issuer import Entitlement, Issuer
from policies.tokens.jwk import KeySet
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import TestGate
from tests.home_plan import PLAN
from tests.jwt_attacks import PLAYBOOK
from tests.tokens import ISS, b64, claims, header, issuer, jwks, pem, sign

LOOPBACK = read_address("127.0.0.1")
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
MAPPED = {
    "g-one": Entitlement(team="one"),
    "g-two": Entitlement(team="two"),
    "g-gone": Entitlement(team="gone"),
    "g-metrics": Entitlement(scopes=("metrics",)),
    "g-narrow": Entitlement(team="two", models=("m",)),
}


def corp(**values: Any) -> Issuer:
    return issuer(**{"jwks_file": "keys.json", "team": None, "groups": MAPPED, **values})


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1", "ec-1"))
    gate = await TestGate(tmp_path, issuers={"corp": corp()}).start()
    yield gate
    assert gate.bugs == []
    await gate.close()


def token(*groups: str, **changes: Any) -> str:
    return sign(claims(groups=list(groups), **changes))


async def chat(gate: TestGate, text: str | None, **sent: Any) -> FakeReply:
    """One request with the token `text`."""
    reply, _ = await gate.send("POST", "/api/chat", {**CHAT, **sent.pop("body", {})}, key=text, **sent)
    return reply


def reason(gate: TestGate) -> str:
    return str(gate.log.entries[-1]["decision"]["reason"])


async def test_a_good_token_is_served_and_the_log_says_who(gate: TestGate) -> None:
    reply = await chat(gate, token("g-one"))
    assert reply.status == 200
    assert gate.log.events()[-2:] == ["request.authorized", "request.completed"]
    actor = gate.log.entries[-1]["actor"]
    assert (actor["kind"], actor["name"], actor["team"], actor["issuer"]) == ("subject", "ada", "one", ISS)
    written = json.dumps(gate.log.entries)
    assert token("g-one") not in written
    assert token("g-one").split(".")[2] not in written


async def test_one_401_for_every_cause(gate: TestGate) -> None:
    """Playbook of attacks, and what is wrong in other ways: the caller cannot tell one from another."""
    bad = {
        "expired": token("g-one", exp=1_700_000_000, iat=1_699_999_000),
        "audience": token("g-one", aud="other"),
        "issuer": token("g-one", iss="https://evil.example"),
        "id token": sign(claims(groups=["g-one"]), header(typ="JWT")),
        "foreign key": sign(claims(groups=["g-one"]), header(), "rsa-2"),
        "unknown key": sign(claims(groups=["g-one"]), header("rsa-2"), "rsa-2"),
        "bound": token("g-one", cnf={"x5t#S256": "T" * 43}),
        "proof of possession": token("g-one", cnf={"jkt": "T" * 43}),
        # The last of 342 characters carries two bits; the playbook's own changes hit the others by chance only.
        "another spelling": (good := token("g-one"))[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]],
        "group of a wrong form": sign(claims(groups={"g-one": 1})),
    }
    expected = await chat(gate, "corral_wrong")
    assert expected.status == 401
    seen = set()
    printable = {name: text for name, text in PLAYBOOK.items() if text.isprintable() and " " not in text}
    for name, text in {**bad, **printable}.items():
        reply = await chat(gate, text)
        same = (reply.status, reply.body, reply.headers["www-authenticate"])
        assert same == (401, expected.body, 'Bearer realm="corral", error="invalid_token"'), name
        seen.add(reason(gate))
    assert {"jwt_expired", "jwt_audience", "jwt_issuer", "jwt_typ", "jwt_signature", "jwt_key", "jwt_binding"} <= seen
    assert {"jwt_form", "jwt_header", "jwt_algorithm", "jwt_claims_form"} <= seen
    assert gate.engine.calls == []
    written = json.dumps(gate.log.entries)
    assert [name for name, text in printable.items() if text in written] == [], "no token is ever in the log"


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ((), "jwt_without_team"),
        (("unknown",), "jwt_without_team"),
        (("g-one", "g-two"), "jwt_two_teams"),
        (("g-gone",), "team_not_in_policy"),
        (("g-one", "g-metrics"), None),
    ],
)
async def test_a_proven_caller_without_a_team_lacks_scope(
    gate: TestGate, groups: tuple[str, ...], why: str | None
) -> None:
    reply = await chat(gate, token(*groups))
    if why is None:
        assert reply.status == 200
        return
    assert (reply.status, reason(gate)) == (403, why)
    assert reply.headers["www-authenticate"] == 'Bearer realm="corral", error="insufficient_scope"'


async def test_group_overage_has_a_reason_of_its_own(gate: TestGate) -> None:
    reply = await chat(gate, sign(claims(_claim_names={"groups": "src1"})))
    assert (reply.status, reason(gate)) == (403, "jwt_group_overage")


async def test_who_was_proven_and_yet_refused_stands_in_the_log(gate: TestGate) -> None:
    def actor() -> dict[str, Any]:
        return dict(gate.log.entries[-1]["actor"])

    assert (await chat(gate, token("g-one", "g-two"))).status == 403
    assert (actor()["kind"], actor()["name"], actor()["issuer"]) == ("anonymous", "ada", ISS)
    gate.store.revocations.revoke(Revocation(kind="actor", subject="ada", at_s=2e9))
    assert (await chat(gate, token("g-one"))).status == 401
    assert (reason(gate), actor()["name"], actor()["issuer"]) == ("revoked_actor", "ada", ISS)
    gate.store.revocations.lock(Lockdown(team="*", since_s=0.0))
    assert (await chat(gate, token("g-one"))).status == 403
    assert (reason(gate), actor()["name"], actor()["issuer"]) == ("lockdown_all", "ada", ISS)
    assert (await chat(gate, sign(head=header(), name="rsa-2"))).status == 401
    assert "name" not in actor(), "nobody is named by a token that proves nothing"


async def test_another_teams_model_looks_unknown(gate: TestGate) -> None:
    foreign = await chat(gate, token("g-one"), body={"model": "secret"})
    unknown = await chat(gate, token("g-one"), body={"model": "nothing"})
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.body.replace(b"secret", b"nothing") == unknown.body
    assert (await chat(gate, token("g-two"), body={"model": "secret"})).status == 200
    narrowed = await chat(gate, token("g-narrow"), body={"model": "secret"})
    assert (narrowed.status, narrowed.body) == (404, foreign.body)


async def test_no_token_no_error_and_two_are_a_bad_request(gate: TestGate) -> None:
    none = await chat(gate, None)
    assert (none.status, none.headers["www-authenticate"]) == (401, 'Bearer realm="corral"')
    both = await chat(gate, token("g-one"), headers=(("x-api-key", gate.keys["one"]),))
    assert (both.status, both.headers["www-authenticate"]) == (400, 'Bearer realm="corral", error="invalid_request"')
    twice = await chat(gate, token("g-one"), headers=(("Authorization", f"Bearer {token('g-two')}"),))
    assert twice.status == 400
    same = token("g-one")
    assert (await chat(gate, same, headers=(("x-api-key", same),))).status == 200


async def over(gate: TestGate, text: str, thumbprint: str | None) -> FakeReply:
    """A request with the token, over a connection with that client certificate."""
    incoming = FakeIncoming("POST", "/api/chat", [("Authorization", f"Bearer {text}")], json.dumps(CHAT).encode())
    assert isinstance(incoming.tls, TlsFacts)
    if thumbprint is not None:
        shown = ClientCertificate(sha256="0" * 64, x5t_s256=thumbprint, names=(), not_after_s=9e9)
        incoming.tls = structs.replace(incoming.tls, client_certificate=shown)
    reply = FakeReply()
    await handle(gate.gate, incoming, reply)
    return reply


class Holding:
    """Client certificates that hold: whether they do is another test's."""

    def require(self, certificate: ClientCertificate) -> None: ...


async def test_a_bound_token_needs_its_certificate_each_time(gate: TestGate) -> None:
    gate.verify_by(certificates=Holding())
    bound = token("g-one", cnf={"x5t#S256": "T" * 43})
    assert (await over(gate, bound, None)).status == 401
    assert (await over(gate, bound, "T" * 43)).status == 200
    assert (await over(gate, bound, "U" * 43)).status == 401, "also when the token is remembered"
    assert reason(gate) == "jwt_binding"
    assert (await over(gate, bound, "T" * 43)).status == 200


async def test_keys_away_is_no_401(gate: TestGate, tmp_path: Path) -> None:
    (tmp_path / "keys.json").unlink()
    reply = await chat(gate, token("g-one"))
    assert (reply.status, reason(gate)) == (503, "key_set_away")
    assert "www-authenticate" not in reply.headers
    assert (await chat(gate, "one")).status == 200, "keys of ours need no provider"
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1"))
    gate.clock.move(5)
    assert (await chat(gate, token("g-one"))).status == 200


async def test_a_provider_that_hangs_holds_up_nobody_else(gate: TestGate, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = asyncio.Event()
    fetch = FileFetch.fetch

    async def hang(source: FileFetch) -> KeySet:
        await answered.wait()
        return await fetch(source)

    monkeypatch.setattr(FileFetch, "fetch", hang)
    waiting = asyncio.create_task(chat(gate, token("g-one")))
    assert (await chat(gate, "one")).status == 200
    health, _ = await gate.send("GET", "/health/live", key=None)
    assert (health.status, waiting.done()) == (200, False)
    answered.set()
    assert (await waiting).status == 200


async def test_where_the_bearers_may_come_from(gate: TestGate) -> None:
    gate.take_policy(issuers={"corp": corp(networks=Networks(allow=("10.0.0.0/8",)))})
    reply = await chat(gate, token("g-one"))
    assert (reply.status, reason(gate)) == (403, "key_network")


async def test_a_new_policy_counts_for_the_next_token(gate: TestGate) -> None:
    assert (await chat(gate, token("g-one"))).status == 200
    gate.take_policy(issuers={"corp": corp(groups={"g-two": Entitlement(team="two")})})
    assert (await chat(gate, token("g-one"))).status == 403
    gate.take_policy(issuers={})
    assert (await chat(gate, token("g-one"))).status == 401


@pytest.mark.parametrize(("kind", "value"), [("jti", "t1"), ("actor", "ada"), ("team", "one")])
async def test_what_is_revoked_is_refused_though_remembered(gate: TestGate, kind: Any, value: str) -> None:
    good = token("g-one")
    assert (await chat(gate, good)).status == 200
    now_s = gate.clock.unix_ns() / 1e9
    gate.store.revocations.revoke(Revocation(kind=kind, subject=value, at_s=now_s))
    assert (await chat(gate, good)).status == 401


async def test_no_token_opens_metrics_without_the_scope(gate: TestGate) -> None:
    async def page(*groups: str) -> int:
        reply, _ = await gate.send("GET", "/metrics", key=token(*groups), listener="admin")
        return reply.status

    assert await page("g-one") == 403
    assert await page("g-one", "g-metrics") == 200


async def test_the_age_of_the_keys_is_a_metric(gate: TestGate) -> None:
    await chat(gate, token("g-one"))
    gate.clock.move(3)
    reply, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    assert b'corral_key_set_age_seconds{issuer="corp"} 3.0' in reply.body


async def test_a_team_that_only_a_token_names_is_no_label(gate: TestGate) -> None:
    gate.tokens.take({"corp": corp(team_claim="department")})
    for number in range(3):
        assert (await chat(gate, token(department=f"department {number}"))).status == 403
        assert reason(gate) == "team_not_in_policy"
    reply, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    assert b'team="none"' in reply.body
    assert b"department" not in reply.body, "labels live as long as the process: a provider must not fill it"


async def test_failures_are_charged_and_proven_callers_are_not(gate: TestGate) -> None:
    """403 for a caller without a team is no guess; a bad token is one."""
    before = gate.gate.identity.allowance(LOOPBACK)
    await chat(gate, token())
    assert gate.gate.identity.allowance(LOOPBACK) == before
    await chat(gate, f"{b64('{}')}.{b64('{}')}.{b64(pem('rsa-1')[:9])}")
    assert gate.gate.identity.allowance(LOOPBACK) != before


@pytest.mark.parametrize(
    "fault", [RuntimeError("x"), TimeoutError(), OSError("x"), KeyError("x"), MemoryError(), PolicyUnavailable("x")]
)
@pytest.mark.parametrize("place", ["verify", "_prove", "keys_for"])
async def test_an_error_anywhere_in_the_check_is_a_refusal(
    gate: TestGate, fault: Exception, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat T20 (LiteLLM CVE-2026-59822): nothing falls through to an empty identity."""

    async def fail(*_given: Any) -> None:
        raise fault

    monkeypatch.setattr(KeySetSource if place == "keys_for" else TokenVerifier, place, fail)
    reply = await chat(gate, token("g-one"))
    assert reply.status == (503 if isinstance(fault, PolicyUnavailable) else 500)
    assert (gate.engine.calls, reply.headers.get("www-authenticate")) == ([], None)
    gate.bugs.clear()


async def test_the_real_app_takes_tokens_by_its_policy(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    (home.path / "keys.json").write_bytes(jwks("rsa-1"))
    policy = Policy(teams={"one": Team(models=("*",))}, issuers={"corp": corp()})
    setting = Setting(
        home=home,
        config=load_config(home.config),
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=policy, hash="0" * 64),
        sockets={},
    )
    text = sign(claims(time.time(), groups=["g-one"]))

    async def tags(app: App) -> int:
        reply = FakeReply()
        await handle(app.gate, FakeIncoming("GET", "/api/tags", [("Authorization", f"Bearer {text}")]), reply)
        return reply.status

    async with opened(setting) as app:
        assert await tags(app) == 200
        assert (app._tokens.keeping, app._tokens.keyless()) == (True, ())
        assert b'corral_key_set_age_seconds{issuer="corp"}' in await app._metrics_page()
        revoked = Revocation(kind="jti", subject="t1", at_s=time.time())
        app._keys.revocations.revoke(revoked)
        assert await tags(app) == 401
        app.take_policy(PolicyInForce(policy=replace(policy, issuers={}), hash="1" * 64))
        assert await tags(app) == 401
        assert app._tokens.key_set_ages() == {}
    assert not app._tokens.keeping
