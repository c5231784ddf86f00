"""Key sets from a real server on loopback, from a discovery document, and from a file."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.outbound_clients import OutboundClients
from gateway.tokens.key_set_fetch import FileFetch, KeySetFault, KeysWithdrawn, UrlFetch, open_fetch
from policies.addresses.egress import ANYWHERE, Egress
from policies.tokens.jwk import MAX_SET_BYTES
from tests.authority import Authority
from tests.outbound import ANY_HOST
from tests.tokens import ISS, issuer, jwk, jwks

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """An identity provider: what each path answers, and how often it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, web.Response | Answer] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.origin = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(status=404)
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return await answer(request)

    def document(self, **values: object) -> web.Response:
        return web.json_response({"issuer": ISS, "jwks_uri": f"{self.origin}/keys", **values})


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These providers answer at once, also where that takes a while: the one that hangs sets it itself."""
    monkeypatch.setattr("gateway.tokens.key_set_fetch.FETCH_S", 30.0)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", provider.handle)
    async with TestServer(app) as server:
        provider.origin = str(server.make_url("")).rstrip("/")
        provider.answers["/keys"] = web.Response(body=jwks("rsa-1", "ec-1"))
        yield provider


@pytest.fixture
async def direct(provider: Provider) -> AsyncIterator[UrlFetch]:
    fetch = UrlFetch(issuer(jwks_url=f"{provider.origin}/keys"), ANY_HOST)
    yield fetch
    await fetch.close()


@pytest.fixture
async def discovered(provider: Provider) -> AsyncIterator[UrlFetch]:
    provider.answers["/doc"] = provider.document()
    fetch = UrlFetch(issuer(discovery=True, discovery_url=f"{provider.origin}/doc"), ANY_HOST)
    yield fetch
    await fetch.close()


async def fault(fetch: UrlFetch | FileFetch) -> str:
    with pytest.raises(KeySetFault) as found:
        await fetch.fetch()
    return str(found.value)


async def test_an_address(provider: Provider, direct: UrlFetch) -> None:
    assert [key.kid for key in (await direct.fetch()).keys] == ["rsa-1", "ec-1"]
    await direct.fetch()
    assert provider.asked == ["/keys", "/keys"]
    assert not {"authorization", "cookie", "user-agent", "accept-encoding"} & provider.headers[0].keys()


async def test_a_redirect_is_not_followed(provider: Provider, direct: UrlFetch) -> None:
    """PyJWT CVE-2026-102267: its client went wherever the provider's answer pointed."""
    provider.answers["/keys"] = web.Response(status=302, headers={"Location": "/elsewhere"})
    provider.answers["/elsewhere"] = web.Response(body=jwks("rsa-2"))
    assert "status 302" in await fault(direct)
    assert provider.asked == ["/keys"]


async def test_oversize_is_not_read_to_its_end(provider: Provider, direct: UrlFetch) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(1000):
                await response.write(b" " * 65536)
                written += 65536
        except OSError:
            pass
        return response

    provider.answers["/keys"] = endless
    assert "too large" in await fault(direct)
    assert written < 64_000_000
    provider.answers["/keys"] = web.Response(body=jwks("rsa-1") + b" " * MAX_SET_BYTES)
    assert "too large" in await fault(direct)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web.Response(body=b"<html>login</html>"), "JSONDecodeError"),
        (web.Response(body=b""), "JSONDecodeError"),
        (web.Response(body=b'{"keys": []}'), "can verify"),
        (web.Response(body=jwks(*[jwk("ec-1", kid=str(each)) for each in range(101)])), "more than 100 keys"),
        (web.Response(status=500, body=b"canary"), "status 500"),
        (web.Response(status=401), "status 401"),
        (web.Response(body=b"\x1f\x8b\x08\x00canary"), "Unicode"),
    ],
)
async def test_answers_that_are_no_key_set(
    provider: Provider, direct: UrlFetch, answer: web.Response, words: str
) -> None:
    provider.answers["/keys"] = answer
    text = await fault(direct)
    assert words in text
    assert "canary" not in text


async def test_a_server_that_hangs(provider: Provider, direct: UrlFetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.tokens.key_set_fetch.FETCH_S", 0.05)
    let_go = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await let_go.wait()
        return web.Response()

    provider.answers["/keys"] = hang
    assert "too slow" in await fault(direct)
    let_go.set()


async def test_a_server_that_is_away() -> None:
    fetch = UrlFetch(issuer(jwks_url="http://127.0.0.1:1/keys"), ANY_HOST)
    assert "could not be asked" in await fault(fetch)
    await fetch.close()


async def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    fetch = open_fetch(
        issuer(jwks_url="https://127.0.0.1:1/keys", ca_file="ca.pem"), tmp_path, OutboundClients(ANYWHERE, tmp_path)
    )
    assert isinstance(fetch, UrlFetch)
    assert f"{tmp_path / 'ca.pem'} cannot be used: No such file or directory" in await fault(fetch)
    await fetch.close()


async def test_discovery(provider: Provider, discovered: UrlFetch) -> None:
    assert (await discovered.fetch()).has("rsa-1")
    await discovered.fetch()
    assert provider.asked == ["/doc", "/keys", "/keys"], "what was found is asked again only after a fault"


async def test_after_a_fault_the_document_is_asked_again(provider: Provider, discovered: UrlFetch) -> None:
    await discovered.fetch()
    provider.answers["/keys"] = web.Response(status=410)
    provider.answers["/moved"] = web.Response(body=jwks("rsa-2"))
    provider.answers["/doc"] = provider.document(jwks_uri=f"{provider.origin}/moved")
    assert "status 410" in await fault(discovered)
    assert (await discovered.fetch()).has("rsa-2")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"jwks_uri": "https://evil.example/keys"}, "jwks_hosts"),
        ({"jwks_uri": "http://169.254.169.254/keys"}, "in clear"),
    ],
)
async def test_a_document_chooses_no_foreign_place(
    provider: Provider, discovered: UrlFetch, values: dict[str, str], words: str
) -> None:
    provider.answers["/doc"] = provider.document(**values)
    assert words in await fault(discovered)
    assert provider.asked == ["/doc"]


async def test_a_document_opens_no_way_out_that_config_yaml_does_not_name(provider: Provider) -> None:
    provider.answers["/doc"] = provider.document(jwks_uri="https://keys.example/keys")
    believed = issuer(discovery=True, discovery_url=f"{provider.origin}/doc", jwks_hosts=("keys.example",))
    fetch = UrlFetch(believed, OutboundClients(Egress(hosts=()), Path("/")))
    assert "keys.example:443, which is not under egress.hosts" in await fault(fetch)
    assert provider.asked == ["/doc"]
    await fetch.close()


async def test_without_an_address_there_is_a_fault() -> None:
    assert await fault(UrlFetch(issuer(jwks_file="x"), ANY_HOST)) == "no address"


async def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    fetch = open_fetch(issuer(jwks_file="keys.json"), tmp_path, ANY_HOST)
    assert isinstance(fetch, FileFetch)
    assert "No such file" in await fault(fetch)
    path.write_bytes(jwks("rsa-1"))
    first = await fetch.fetch()
    assert first.has("rsa-1")
    assert await fetch.fetch() is first, "an unchanged file is not parsed again"
    replaced = tmp_path / "new.json"
    replaced.write_bytes(jwks("rsa-2"))
    replaced.replace(path)
    assert (await fetch.fetch()).has("rsa-2")
    path.write_bytes(jwks("rsa-1"))
    os.utime(path, ns=(1, 1))
    assert (await fetch.fetch()).has("rsa-1")
    await fetch.close()


async def test_a_file_that_is_no_key_set(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    fetch = FileFetch(path)
    path.write_bytes(b"{")
    assert "JSONDecodeError" in await fault(fetch)
    assert "JSONDecodeError" in await fault(fetch), "and is looked at again, though it did not change"
    path.write_bytes(b" " * (MAX_SET_BYTES + 9))
    assert "more than" in await fault(fetch)
    path.write_text(json.dumps({"keys": [jwk("rsa-1", d="AQAB")]}))
    with pytest.raises(KeysWithdrawn, match="can verify"):
        await fetch.fetch()


async def test_only_the_named_authority_is_believed(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "another authority")
    certificate, key = authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    provider = Provider()
    provider.answers["/keys"] = web.Response(body=jwks("rsa-1"))
    app = web.Application()
    app.router.add_get("/keys", provider.handle)
    server = TestServer(app)
    await server.start_server(ssl=context)
    outcomes: list[str] = []
    for ca_file in (authority.bundle.name, other.bundle.name, None):
        asked = issuer(jwks_url=f"https://localhost:{server.port}/keys", ca_file=ca_file)
        fetch = open_fetch(asked, tmp_path, OutboundClients(ANYWHERE, tmp_path))
        try:
            outcomes.append("taken" if (await fetch.fetch()).has("rsa-1") else "")
        except KeySetFault as fault:
            outcomes.append("refused" if "Certificate" in str(fault) else str(fault))
        await fetch.close()
    await server.close()
    assert outcomes == ["taken", "refused", "refused"]
    assert provider.asked == ["/keys"]
