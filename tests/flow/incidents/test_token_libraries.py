"""PyJWT's, Envoy's, LiteLLM's and others': how a token that proves nothing was taken for proof."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.fakes import FakeReply
from tests.flow.gates import TestGate
from tests.jwt_attacks import hmac_forged
from tests.tokens import ISS, b64, claims, header, issuer, jwk, jwks, pem, private_key, sign

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    publish(tmp_path, "rsa-1", "ec-1")
    gate = await TestGate(tmp_path, issuers={"corp": issuer(jwks_file="keys.json")}).start()
    assert (await chat(gate, sign())).status == 200
    gate.engine.calls.clear()
    yield gate
    assert gate.bugs == []
    await gate.close()


def publish(folder: Path, *members: str | dict[str, Any]) -> None:
    (folder / "keys.json").write_bytes(jwks(*members))


async def chat(gate: TestGate, text: str) -> FakeReply:
    reply, _ = await gate.send("POST", "/api/chat", CHAT, key=text)
    return reply


async def demand_refused(gate: TestGate, *texts: str) -> None:
    for text in texts:
        assert (await chat(gate, text)).status == 401
    assert gate.engine.calls == []


def spellings(name: str) -> list[bytes]:
    """Every way in which a public key is written down, and so could be fed to HMAC."""
    public = private_key(name).public_key()
    der = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    member = json.dumps(jwk(name))
    return [pem(name), pem(name).strip(), public.public_bytes(*der), public.public_bytes(*ssh), member.encode()]


async def test_pyjwt_cve_2017_11424_and_2022_29217_no_public_key_is_a_secret(gate: TestGate) -> None:
    secrets = [*spellings("rsa-1"), *spellings("ec-1")]
    await demand_refused(gate, *(hmac_forged(alg, secret) for alg in ("HS256", "HS512") for secret in secrets))


async def test_pyjwt_cve_2026_48526_no_jwk_is_a_secret(gate: TestGate) -> None:
    members = [json.dumps(jwk("rsa-1"), separators=parts).encode() for parts in ((",", ":"), (", ", ": "))]
    await demand_refused(gate, *(hmac_forged("HS256", member) for member in members))


async def test_pyjwt_cve_2026_102266_an_empty_secret_in_a_key_set_opens_nothing(gate: TestGate, tmp_path: Path) -> None:
    publish(tmp_path, {"kty": "oct", "k": "", "kid": "empty", "alg": "HS256"}, "rsa-1")
    await demand_refused(gate, hmac_forged("HS256", b"", kid="empty"), hmac_forged("HS512", b"", kid="empty"))


async def test_pyjwt_cve_2024_53861_a_part_of_an_issuer_is_another_issuer(gate: TestGate) -> None:
    parts = [ISS[:-1], ISS[1:], ISS[:8], "/", "https", "", ISS + "x", ISS + "/", ISS.upper()]
    await demand_refused(gate, *(sign(claims(iss=part)) for part in parts))


async def test_pyjwt_cve_2025_45768_a_short_key_proves_nothing(gate: TestGate, tmp_path: Path) -> None:
    publish(tmp_path, "rsa-1", "rsa1024-1")
    gate.clock.move(31)
    await demand_refused(gate, sign(head=header("rsa1024-1"), name="rsa1024-1"))


async def test_pyjwt_cve_2026_32597_what_must_be_understood_is_not_passed_over(gate: TestGate) -> None:
    critical = [["exp"], ["b64"], ["cnf"], ["x"], [], "exp", None]
    await demand_refused(gate, *(sign(head=header(crit=each, x=1)) for each in critical))


async def test_pyjwt_ghsa_jq35_the_list_of_algorithms_is_the_issuers_not_the_keys(
    gate: TestGate, tmp_path: Path
) -> None:
    publish(tmp_path, jwk("rsa-1", alg="RS512"), jwk("ec384-1", alg="ES384"))
    gate.tokens.flush()
    gate.clock.move(31)
    await demand_refused(gate, sign(head=header(alg="RS512")), sign(head=header("ec384-1", "ES384"), name="ec384-1"))


async def test_pyjwt_ghsa_w7vc_a_detached_payload_costs_nothing(gate: TestGate) -> None:
    body = "a" * 6000
    heads = ({"alg": "RS256", "b64": False, "crit": ["b64"]}, {"alg": "RS256", "b64": False})
    await demand_refused(gate, *(f"{b64(json.dumps(head))}.{body}.{b64(bytes(256))}" for head in heads))


async def test_cve_2025_65015_what_is_longer_than_a_token_is_not_decoded(gate: TestGate) -> None:
    await demand_refused(gate, sign(claims(padding="x" * 8192)), sign(head=header(x5t="x" * 1024)))


async def test_pyjwt_1209_one_token_has_one_spelling(gate: TestGate) -> None:
    """A second spelling would pass a list of revoked tokens that knows the first."""
    good = sign()
    head, body, signature = good.split(".")
    await demand_refused(gate, f"{good}=", f"{good}==", f"{head}=.{body}.{signature}", f"{head}.{body}.{signature}====")


async def test_cve_2022_21449_a_signature_of_zeros(gate: TestGate) -> None:
    signing = sign(head=header("ec-1", "ES256"), name="ec-1").rpartition(".")[0]
    await demand_refused(gate, f"{signing}.{b64(bytes(64))}", f"{signing}.{b64(bytes(72))}")


async def test_cve_2018_0114_a_key_that_the_token_brings_along(gate: TestGate) -> None:
    await demand_refused(gate, sign(head=header("rsa-2", jwk=jwk("rsa-2")), name="rsa-2"))


async def test_litellm_cve_2026_35030_and_fast_jwt_ghsa_rp9m_no_two_tokens_are_one(gate: TestGate) -> None:
    """The same first 128 characters, another person: from memory too, nobody is somebody else."""
    texts = {name: sign(claims(sub=name), header("ec-1", "ES256"), "ec-1") for name in ("ada", "bob", "eve")}
    assert len({text[:128] for text in texts.values()}) == 1
    for name, text in [*texts.items(), *reversed(texts.items()), *texts.items()]:
        assert (await chat(gate, text)).status == 200
        assert gate.log.entries[-1]["actor"]["name"] == name
    forged = texts["ada"].rpartition(".")[0] + "." + texts["eve"].rpartition(".")[2]
    assert (await chat(gate, forged)).status == 401


async def test_envoy_cve_2025_64527_two_tokens_while_the_key_set_fails(gate: TestGate, tmp_path: Path) -> None:
    """Two in flight at once, and two in one request: an answer for each, and the next request is served."""
    gate.take_policy(issuers={"corp": issuer(jwks_file="missing.json")})
    both = await asyncio.gather(chat(gate, sign()), chat(gate, sign(claims(sub="bob"))))
    assert [reply.status for reply in both] == [503, 503]
    twice = (("Authorization", f"Bearer {sign()}"),)
    reply, _ = await gate.send("POST", "/api/chat", CHAT, key=sign(claims(sub="bob")), headers=twice)
    assert reply.status == 400
    assert gate.engine.calls == []
    assert (await chat(gate, "one")).status == 200
    (tmp_path / "missing.json").write_bytes(jwks("rsa-1"))
    gate.clock.move(5)
    assert (await chat(gate, sign())).status == 200


async def test_no_secret_that_people_choose_opens_anything(gate: TestGate) -> None:
    """The first guesses of every cracking tool."""
    guesses = ["secret", "password", "123456", "changeme", "your-256-bit-secret", "corral", ISS, ""]
    signing = f"{b64(json.dumps(header(alg='HS256')))}.{b64(json.dumps(claims()))}"
    digests = [hmac.new(guess.encode(), signing.encode(), hashlib.sha256).digest() for guess in guesses]
    await demand_refused(gate, *(f"{signing}.{b64(digest)}" for digest in digests))
