"""Tokens of a real identity provider on loopback, over hours of a clock that is moved by hand."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.tokens.token_verifier import TokenVerifier
from policies.credentials.credential import JwtCredential
from policies.errors import Refused
from policies.tokens.issuer import Issuer
from tests.fakes import ManualClock
from tests.outbound import fetches
from tests.tokens import ISS, b64, claims, header, issuer, jwk, jwks, sign

pytestmark = pytest.mark.slow


class Provider:
    """Publishes a discovery document and a key set; `mode` says how the key set is answered."""

    def __init__(self) -> None:
        self.keys = jwks("rsa-1")
        self.mode = "good"
        self.asked: Counter[str] = Counter()
        self.origin = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        if request.path == "/document":
            return web.json_response({"issuer": ISS, "jwks_uri": f"{self.origin}/keys"})
        match self.mode:
            case "good":
                return web.Response(body=self.keys)
            case "redirect":
                return web.Response(status=307, headers={"Location": "/other"})
            case "oversize":
                return web.Response(body=self.keys + b" " * 300_000)
        return web.Response(status=503)


class Site:
    """A provider, a verifier that believes it, and their clock."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.clock = ManualClock()
        self.notes: list[str] = []
        self.tokens = TokenVerifier(self.clock, fetches(Path()), lambda event, _details: self.notes.append(event))
        self.tokens.take({"corp": self.believed()})

    def believed(self) -> Issuer:
        return issuer(discovery=True, discovery_url=f"{self.provider.origin}/document", algorithms=("RS256", "ES256"))

    def token(self, name: str = "rsa-1") -> str:
        alg = "ES256" if name.startswith("ec") else "RS256"
        return sign(claims(self.clock.unix_ns() / 1e9), header(name, alg), name)

    async def outcome(self, text: str) -> str:
        try:
            return (await self.tokens.verify(JwtCredential(text), None)).subject
        except Refused as refused:
            return refused.reason

    async def pass_time(self, seconds: float) -> None:
        """What the background does when it looks, so that no test waits for it."""
        self.clock.move(seconds)
        for judge in self.tokens._judges.values():
            await judge.source.refresh_if_due()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", provider.handle)
    async with TestServer(app) as server:
        provider.origin = str(server.make_url("")).rstrip("/")
        site = Site(provider)
        yield site
        await site.tokens.close()


async def test_ten_thousand_random_kids_in_a_minute(site: Site) -> None:
    assert await site.outcome(site.token()) == "ada"
    body, signature = b64(json.dumps(claims(site.clock.unix_ns() / 1e9))), b64(bytes(256))
    for _ in range(10_000):
        head = b64(json.dumps(header(secrets.token_hex(8))))
        assert await site.outcome(f"{head}.{body}.{signature}") == "jwt_key"
        site.clock.move(60 / 10_000)
    assert site.provider.asked["/keys"] <= 3
    assert site.provider.asked["/document"] == 1
    assert await site.outcome(site.token()) == "ada"


@pytest.mark.parametrize("mode", ["down", "redirect", "oversize"])
async def test_a_provider_that_fails_for_an_hour(site: Site, mode: str) -> None:
    await site.pass_time(0)
    site.provider.mode = mode
    outcomes: Counter[str] = Counter()
    for _ in range(360):
        await site.pass_time(10)
        outcomes[await site.outcome(site.token())] += 1
    assert outcomes == {"ada": 360}
    assert site.provider.asked["/other"] == 0
    assert site.notes == ["issuer.keys_lost"]
    site.provider.mode = "good"
    await site.pass_time(30)
    assert site.notes == ["issuer.keys_lost", "issuer.keys_back"]


@pytest.mark.parametrize("mode", ["down", "redirect", "oversize"])
async def test_a_provider_that_fails_from_the_start(site: Site, mode: str) -> None:
    site.provider.mode = mode
    both = await asyncio.gather(site.outcome(site.token()), site.outcome(site.token("ec-1")))
    assert both == ["key_set_away", "key_set_away"]
    assert (site.provider.asked["/keys"], site.provider.asked["/other"]) == (1, 0)
    site.provider.mode = "good"
    site.clock.move(5)
    assert await site.outcome(site.token()) == "ada"


@pytest.mark.parametrize("keys", [b'{"keys": []}', jwks(jwk("rsa-1", d="AQAB"))])
async def test_a_provider_that_withdraws_its_keys_is_heard(site: Site, keys: bytes) -> None:
    """A leaked key's owner publishes an empty set, or the key itself: neither is an outage to wait out for a day."""
    assert await site.outcome(site.token()) == "ada"
    site.provider.keys = keys
    await site.pass_time(600)
    assert await site.outcome(site.token()) == "key_set_away"
    site.provider.keys = jwks("rsa-2")
    await site.pass_time(5)
    assert await site.outcome(site.token("rsa-2")) == "ada"


async def test_rotation_with_overlap_refuses_nobody(site: Site) -> None:
    outcomes: Counter[str] = Counter()
    for minute in range(90):
        published = ("rsa-1",) if minute < 20 else ("rsa-1", "ec-1") if minute < 60 else ("ec-1",)
        site.provider.keys = jwks(*published)
        await site.pass_time(60)
        outcomes[await site.outcome(site.token("rsa-1" if minute < 40 else "ec-1"))] += 1
    assert outcomes == {"ada": 90}
    assert await site.outcome(site.token("rsa-1")) == "jwt_key", "and the old key is dead"


async def test_a_rotation_without_overlap_heals_within_half_a_minute(site: Site) -> None:
    await site.pass_time(0)
    site.provider.keys = jwks("ec-1")
    site.clock.move(29)
    assert await site.outcome(site.token("ec-1")) == "jwt_key"
    site.clock.move(1)
    assert await site.outcome(site.token("ec-1")) == "ada"
    assert await site.outcome(site.token("rsa-1")) == "jwt_key"
