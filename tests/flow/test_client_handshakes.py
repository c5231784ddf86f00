"""The listener's handshake with clients that must show a certificate: five refusals, each with its cause in the log."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from structlog.testing import capture_logs

from bench.proofs.tls_reloads import Caller, Site, listening
from tests.authority import SERVER, Authority

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PATIENCE_S = 30.0


async def ask(site: Site, port: int, pair: tuple[Path, Path] | None, newest: ssl.TLSVersion) -> None:
    """One request with the certificate in `pair`. Raises OSError or EOFError when it is not answered."""
    trusted = ssl.create_default_context(cafile=str(site.authority.bundle))
    trusted.maximum_version = newest
    if pair is not None:
        trusted.load_cert_chain(*pair)
    opening = asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    caller = Caller(*await asyncio.wait_for(opening, PATIENCE_S))
    try:
        await asyncio.wait_for(caller.ask(), PATIENCE_S)
    finally:
        caller.drop()


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_five_of_five_are_refused_and_the_sixth_is_served(tmp_path, newest):
    site = Site(tmp_path)
    revoked = site.authority.issue("revoked")
    site.authority.revoke(revoked[0])
    site.tls.look(site.now_s)
    refused = {
        "none was shown": None,
        "certificate has expired": site.authority.issue("ended", days=(-3, -1)),
        "unable to get local issuer certificate": Authority(tmp_path, "stranger").issue("strange"),
        "certificate revoked": revoked,
        "purpose": site.authority.issue("usage", usage=SERVER),
    }
    async with listening(site) as (listener, port):
        with capture_logs() as logs:
            for pair in refused.values():
                with pytest.raises((OSError, EOFError)):
                    await ask(site, port, pair, newest)
        told = [entry["cause"] for entry in logs if entry["event"] == "client_certificate_refused"]
        assert [cause in one for cause, one in zip(refused, told, strict=True)] == [True] * 5, told
        await ask(site, port, site.authority.issue("good"), newest)
        assert listener.counts.handshakes_failed == 5


async def test_one_without_a_usage_is_found_out_after_the_handshake(tmp_path):
    site = Site(tmp_path)
    async with listening(site) as (_, port):
        with pytest.raises((OSError, EOFError)):
            await ask(site, port, site.authority.issue("odd", usage=None), ssl.TLSVersion.TLSv1_3)


async def test_a_list_that_is_overdue_lets_nobody_in_and_says_so(tmp_path):
    site = Site(tmp_path)
    site.authority.revoke(days=(-1, -0.5))
    site.tls.look(site.now_s)
    assert "tls.expiring" in site.notes
    async with listening(site) as (_, port):
        with capture_logs() as logs, pytest.raises((OSError, EOFError)):
            await ask(site, port, site.authority.issue("good"), ssl.TLSVersion.TLSv1_3)
        assert [entry["cause"] for entry in logs] == ["CRL has expired"]
