"""Tokens against issuers, keys and the cache: who is told apart, what is remembered, what is forgotten."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench.proofs.token_prefixes import mix_ups
from gateway.tokens import token_verifier
from gateway.tokens.key_set_fetch import FileFetch, KeySetFault, KeySetFetch
from gateway.tokens.token_verifier import TokenVerifier
from policies.audit_record import SYSTEM_EVENTS
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import JwtCredential
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized, PolicyUnavailable
from policies.tokens.claims import principal_of
from policies.tokens.issuer import Entitlement, Issuer
from tests.fakes import ManualClock
from tests.outbound import fetches
from tests.tokens import NOW_S, FakeFetch, b64, claims, header, issuer, jwks, key_set, sign

THUMBPRINT = "T" * 43
CERTIFICATE = ClientCertificate(sha256="0" * 64, x5t_s256=THUMBPRINT, names=(), not_after_s=0.0)
OTHER = ClientCertificate(sha256="1" * 64, x5t_s256="U" * 43, names=(), not_after_s=0.0)


class Bench:
    """A verifier over fetches by the issuer's own name."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.fetches: dict[str, list[FakeFetch]] = {}
        self.fault: Exception | None = None
        self.tokens = TokenVerifier(self.clock, self._open, self._note)
        self.tokens.take({"corp": issuer()})

    def _note(self, event: str, details: dict[str, Any]) -> None:
        self.notes.append((event, details))

    def _open(self, who: Issuer) -> KeySetFetch:
        fetch = FakeFetch(key_set("rsa-1", "ec-1"))
        fetch.fault = self.fault
        self.fetches.setdefault(who.issuer, []).append(fetch)
        return fetch

    def fetch(self, who: str = issuer().issuer) -> FakeFetch:
        return self.fetches[who][-1]

    async def verify(self, text: str, certificate: ClientCertificate | None = None) -> Principal:
        return await self.tokens.verify(JwtCredential(text), certificate)

    def ready(self) -> bool:
        return self.tokens.keeping and not self.tokens.keyless()

    async def refused(self, text: str, certificate: ClientCertificate | None = None) -> str:
        with pytest.raises((NotAuthenticated, NotAuthorized, PolicyUnavailable)) as refusal:
            await self.verify(text, certificate)
        return refusal.value.reason


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.tokens.close()


async def test_a_good_token(bench: Bench) -> None:
    principal = await bench.verify(sign())
    assert (principal.kind, principal.team, principal.subject, principal.jti) == ("jwt", "one", "ada", "t1")
    assert (principal.issued_s, principal.expires_s) == (NOW_S - 10, NOW_S + 3620)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a.b.c", "jwt_form"),
        (sign(head=header(jku="https://evil.example")), "jwt_header"),
        (sign(claims(iss="https://evil.example")), "jwt_issuer"),
        (sign(b"foo"), "jwt_claims_form"),
        (sign(head=header(typ="JWT")), "jwt_typ"),
        (sign(head=header(alg="none")), "jwt_algorithm"),
        (sign(head=header("rsa-9"), name="rsa-9"), "jwt_key"),
        (sign(head=header(), name="rsa-2"), "jwt_signature"),
        (sign(claims(aud="other")), "jwt_audience"),
        (sign(claims(exp=NOW_S - 60)), "jwt_expired"),
        (sign(claims(cnf={"x5t#S256": THUMBPRINT})), "jwt_binding"),
        (sign(claims(scope=7)), "jwt_claims_form"),
    ],
)
async def test_bad_ones(bench: Bench, text: str, reason: str) -> None:
    assert await bench.refused(text) == reason
    assert len(bench.tokens._cache) == 0, "a refusal is not remembered"


async def test_what_no_issuer_could_have_signed_asks_for_no_keys(bench: Bench) -> None:
    for text in (sign(claims(iss="x")), sign(head=header(alg="none")), sign(head=header(typ="JWT")), "a.b.c"):
        await bench.refused(text)
    assert bench.fetch().count == 0


async def test_no_issuer_no_token(bench: Bench) -> None:
    bench.tokens.take({})
    assert await bench.refused(sign()) == "jwt_issuer"


async def test_without_keys_the_check_cannot_be_made(bench: Bench) -> None:
    bench.fetch().fault = KeySetFault("away")
    assert await bench.refused(sign()) == "key_set_away"
    assert bench.notes == [("issuer.keys_lost", {"issuer": "corp"})]
    bench.fetch().fault = None
    bench.clock.move(5)
    assert (await bench.verify(sign())).team == "one"
    assert bench.notes[1:] == [("issuer.keys_back", {"issuer": "corp"})]
    assert {event for event, _ in bench.notes} <= SYSTEM_EVENTS.keys()


async def test_one_issuer_does_not_speak_for_another(bench: Bench) -> None:
    other = issuer(issuer="https://other.example", team="two", jwks_url="https://other.example/keys")
    bench.tokens.take({"corp": issuer(), "other": other})
    bench.fetch("https://other.example").keys = key_set("rsa-2")
    theirs = claims(iss="https://other.example")
    assert (await bench.verify(sign(theirs, header("rsa-2"), "rsa-2"))).team == "two"
    assert await bench.refused(sign(theirs)) == "jwt_key"
    assert await bench.refused(sign(theirs, header("rsa-2"), "rsa-1")) == "jwt_signature"
    assert await bench.refused(sign(claims(), header("rsa-2"), "rsa-2")) == "jwt_key"


# ---- the cache


async def test_the_second_time_costs_no_signature(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = []
    monkeypatch.setattr(token_verifier, "principal_of", lambda *given: proofs.append(1) or principal_of(*given))
    text = sign()
    first = await bench.verify(text)
    assert await bench.verify(text) is first
    bench.clock.move(60)
    assert await bench.verify(text) == first
    assert len(proofs) == 2


async def test_a_remembered_token_still_ends(bench: Bench) -> None:
    text = sign(claims(exp=int(NOW_S) + 10))
    await bench.verify(text)
    bench.clock.move(39)
    await bench.verify(text)
    bench.clock.move(1)
    assert await bench.refused(text) == "jwt_expired"


async def test_the_certificate_is_asked_for_each_time(bench: Bench) -> None:
    text = sign(claims(cnf={"x5t#S256": THUMBPRINT}))
    assert await bench.refused(text) == "jwt_binding"
    assert (await bench.verify(text, CERTIFICATE)).subject == "ada"
    assert len(bench.tokens._cache) == 1
    assert await bench.refused(text, OTHER) == "jwt_binding"
    assert await bench.refused(text) == "jwt_binding"
    assert (await bench.verify(text, CERTIFICATE)).subject == "ada"


async def test_a_thief_without_the_certificate_does_not_learn_what_the_token_is_worth(bench: Bench) -> None:
    bench.tokens.take({"corp": issuer(required_scopes=("corral",))})
    text = sign(claims(cnf={"x5t#S256": THUMBPRINT}))
    assert await bench.refused(text) == "jwt_binding"
    assert await bench.refused(text, CERTIFICATE) == "jwt_scope_missing"


async def test_flush_forgets(bench: Bench) -> None:
    await bench.verify(sign())
    bench.tokens.flush()
    assert len(bench.tokens._cache) == 0


async def test_what_began_before_a_flush_is_not_remembered_after_it(bench: Bench) -> None:
    bench.fetch().hold = asyncio.Event()
    running = asyncio.create_task(bench.verify(sign()))
    for _ in range(3):
        await asyncio.sleep(0)
    bench.tokens.flush()
    bench.fetch().hold.set()
    assert (await running).team == "one"
    assert len(bench.tokens._cache) == 0


@pytest.mark.parametrize("shared", [20, 64, 128])
async def test_tokens_that_share_their_beginning_are_strangers(shared: int) -> None:
    """The small size of bench/proofs/token_prefixes.py: real tokens, each for another person."""
    found = await mix_ups(1700, shared)
    assert found == {"tokens": 1700, "asked": 6800, "mixed_up": 0, "beginnings": 1}


# ---- a new policy


async def test_a_new_policy_keeps_the_keys_and_forgets_the_proofs(bench: Bench) -> None:
    assert (await bench.verify(sign())).team == "one"
    bench.tokens.take({"corp": issuer(team="two")})
    assert (await bench.verify(sign())).team == "two"
    assert bench.fetch().count == 1
    bench.tokens.take({"corp": issuer(jwks_url="https://id.example/new")})
    await bench.verify(sign())
    old, new = bench.fetches[issuer().issuer]
    assert (old.count, new.count) == (1, 1)
    await bench.tokens._close_retired()
    assert (old.closed, new.closed) == (True, False)


async def test_groups_of_the_new_policy_count_at_once(bench: Bench) -> None:
    text = sign(claims(groups=["g"]))
    await bench.verify(text)
    bench.tokens.take({"corp": issuer(groups={"g": Entitlement(team="two")})})
    assert (await bench.verify(text)).team == "two"
    bench.tokens.take({"corp": issuer(team=None, groups={"h": Entitlement(team="two")})})
    assert await bench.refused(text) == "jwt_without_team"


# ---- life


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (what is waited for is a state of the thing under test)
            await asyncio.sleep(0.001)


async def test_ready_once_each_required_issuer_has_keys(bench: Bench) -> None:
    bench.fault = KeySetFault("away")
    spare = issuer(issuer="https://spare.example", required=False)
    bench.tokens.take({"corp": issuer(), "spare": spare})
    await bench.verify(sign())
    assert not bench.ready(), "nobody keeps the keys fresh yet"
    bench.tokens.start()
    await until(lambda: bench.fetch(spare.issuer).count)
    assert bench.ready()
    bench.tokens.take({"corp": issuer(), "spare": issuer(issuer="https://spare.example", required=True)})
    assert not bench.ready()
    assert bench.tokens.key_set_ages() == {"corp": 0.0, "spare": float("inf")}


async def test_without_issuers_there_is_nothing_to_wait_for(bench: Bench) -> None:
    bench.tokens.take({})
    bench.tokens.start()
    assert bench.ready()
    assert bench.tokens.key_set_ages() == {}


async def test_the_background_works_without_any_token(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_verifier, "TICK_S", 0.001)
    bench.tokens.start()
    await until(bench.ready)
    bench.clock.move(600)
    await until(lambda: bench.fetch().count == 2)


async def test_a_new_policy_wakes_the_background(bench: Bench) -> None:
    bench.tokens.start()
    await until(bench.ready)
    old = bench.fetch()
    bench.tokens.take({"corp": issuer(jwks_url="https://id.example/new")})
    await until(bench.ready)
    await until(lambda: old.closed)
    assert bench.fetch().count == 1


async def test_a_bug_with_one_issuer_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_verifier, "TICK_S", 0.001)
    bench.fault = RuntimeError("bug")
    bench.tokens.take({"corp": issuer(), "odd": issuer(issuer="https://odd.example", required=False)})
    bench.tokens.start()
    await until(lambda: bench.fetch("https://odd.example").count)
    bench.clock.move(6)
    await until(lambda: bench.fetch("https://odd.example").count == 2)
    assert bench.ready()


async def test_after_close_it_is_not_ready(bench: Bench) -> None:
    bench.tokens.start()
    await until(bench.ready)
    await bench.tokens.close()
    assert not bench.ready()
    assert bench.fetch().closed


async def test_a_site_without_a_way_out(tmp_path: Path) -> None:
    """An air-gapped site: the key set is a file in the home, replaced by hand."""
    path = tmp_path / "keys.json"
    path.write_bytes(jwks("rsa-1"))
    clock = ManualClock()
    tokens = TokenVerifier(clock, fetches(tmp_path), lambda _event, _details: None)
    tokens.take({"corp": issuer(jwks_file="keys.json")})
    assert (await tokens.verify(JwtCredential(sign()), None)).team == "one"
    path.write_bytes(jwks("rsa-2"))
    os.utime(path, ns=(1, 1))
    for judge in tokens._judges.values():
        clock.move(5)
        await judge.source.refresh_if_due()
    assert (await tokens.verify(JwtCredential(sign(head=header("rsa-2"), name="rsa-2")), None)).team == "one"
    tokens.flush()
    with pytest.raises(NotAuthenticated, match="jwt_key"):
        await tokens.verify(JwtCredential(sign()), None)
    await tokens.close()
    assert isinstance(fetches(tmp_path)(issuer(jwks_file="k")), FileFetch)


async def test_a_thousand_forgeries_change_nothing(bench: Bench) -> None:
    """A flood of tokens signed with a key that nobody published: each refused, none remembered, no fetch more."""
    await bench.verify(sign())
    head, signature = json.dumps(header()), b64(bytes(range(256)))
    for number in range(1000):
        text = f"{b64(head)}.{b64(json.dumps(claims(sub=str(number))))}.{signature}"
        assert await bench.refused(text) == "jwt_signature"
    assert (bench.fetch().count, len(bench.tokens._cache)) == (1, 1)
