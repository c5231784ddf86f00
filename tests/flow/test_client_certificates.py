"""A client certificate as a credential, and beside one: on every request, and in streams that run."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.certificate_verifier import CertificateVerifier
from gateway.incoming import TlsFacts
from gateway.request import handle
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.certificates.client_trust import ClientTrust, read_client_trust
from policies.credentials.client_certificate import read_client_certificate
from tests.authority import Authority, der
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import TestGate

APP = "uri:spiffe://test/app"
CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'


class Site:
    """A gate that judges client certificates, and an authority that signs them."""

    def __init__(self, folder: Path) -> None:
        self.gate = TestGate(folder)
        now = datetime.fromtimestamp(self.gate.clock.unix_ns() / 1e9, UTC)
        self.authority = Authority(folder, now=now)
        self.file = self.authority.issue("app")[0]
        self.trust: ClientTrust = read_client_trust(self.authority.pem, None)
        self.certificates = CertificateVerifier(
            lambda: self.trust, {APP: CertificateIdentity(team="one", scopes=("inference",))}, self.gate.clock
        )
        self.gate.verify_by(certificates=self.certificates)

    def revoke(self) -> None:
        self.trust = read_client_trust(self.authority.pem, self.authority.revoke(self.file).read_bytes())

    async def send(
        self, method: str, target: str, body: bytes = b"", *, key: str | None = None, **reply: Any
    ) -> FakeReply:
        headers = [] if key is None else [("Authorization", f"Bearer {self.gate.keys[key]}")]
        incoming = FakeIncoming(method, target, headers, body)
        certificate = read_client_certificate(der(self.file))
        incoming.tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", client_certificate=certificate)
        answer = FakeReply(**reply)
        await handle(self.gate.gate, incoming, answer)
        return answer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.gate.start()
    yield made
    await made.gate.close()


async def test_a_mapped_certificate_is_a_credential_with_its_own_scopes(site: Site) -> None:
    assert (await site.send("POST", "/api/chat", CHAT)).status == 200
    assert (await site.send("GET", "/api/tags")).status == 403  # models is not among its scopes
    site.certificates.identities = {}
    assert (await site.send("POST", "/api/chat", CHAT)).status == 401


async def test_a_key_on_its_connection_counts_as_the_key(site: Site) -> None:
    assert (await site.send("GET", "/api/tags", key="one")).status == 200


async def test_a_revoked_certificate_lets_no_other_credential_through(site: Site) -> None:
    site.revoke()
    assert (await site.send("POST", "/api/chat", CHAT)).status == 401
    assert (await site.send("GET", "/api/tags", key="one")).status == 401
    reasons = [entry["decision"]["reason"] for entry in site.gate.log.entries]
    assert reasons == ["certificate_revoked"] * 2
    digest = read_client_certificate(der(site.file)).sha256
    assert {entry["src"]["cert_sha256"] for entry in site.gate.log.entries} == {digest}


async def test_a_running_stream_is_cut_when_its_certificate_is_revoked(site: Site) -> None:
    site.gate.engine.hold = asyncio.Event()
    written = asyncio.Event()
    stream = asyncio.create_task(site.send("POST", "/api/chat", CHAT, on_write=lambda _: written.set()))
    await asyncio.wait_for(written.wait(), 30)
    site.gate.running.judge_certificates(site.certificates.require)
    assert not stream.done()
    site.revoke()
    site.gate.running.judge_certificates(site.certificates.require)
    reply = await asyncio.wait_for(stream, 30)
    assert reply.ended
    assert b'"error"' in reply.body
    assert site.gate.log.entries[-1]["decision"]["reason"] == "certificate_revoked"
    assert site.gate.engine.running == 0


async def test_requests_without_a_certificate_are_none_of_its_business(site: Site) -> None:
    site.gate.engine.hold = asyncio.Event()
    written = asyncio.Event()
    reply = FakeReply(on_write=lambda _: written.set())
    stream = asyncio.create_task(site.gate.send("POST", "/api/chat", CHAT, reply=reply))
    await asyncio.wait_for(written.wait(), 30)
    site.revoke()
    site.gate.running.judge_certificates(site.certificates.require)
    site.gate.engine.hold.set()
    await asyncio.wait_for(stream, 30)
    assert reply.status == 200
    assert b'"done":true' in reply.body
