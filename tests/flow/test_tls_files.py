"""The TLS files of a running gateway: what it does not start with, and what it takes over while it serves."""

import asyncio
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import housekeeping
from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.audit.audit_log import AuditLog
from gateway.homes.home import Home
from gateway.homes.local_ca import issue_server_tls
from gateway.http.tls_context import TlsFault
from gateway.setting import Setting
from policies.audit_record import Entry
from tests.flow.test_housekeeping import NOW_S, PLAN, setting_of

PATIENCE_S = 60.0


def listening_setting(home: Home) -> tuple[Setting, int]:
    """The home as a gateway with its public listener is given it, and the port."""
    bound = socket.create_server(("127.0.0.1", 0))
    return replace(setting_of(home), sockets={"public": bound}), bound.getsockname()[1]


async def test_groups_that_were_not_restricted_are_a_refusal_to_start(tmp_path: Path) -> None:
    """This process has no OPENSSL_CONF, as one that was started in another way than by the supervisor."""
    home = make_home(tmp_path / "home", PLAN).home
    setting, _ = listening_setting(home)
    with setting.sockets["public"], pytest.raises(TlsFault, match="groups of TLS could not be restricted"):
        async with opened(replace(setting, groups_configured=True)):
            pass


async def shown(port: int, trusted: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    handshake = writer.get_extra_info("ssl_object")
    writer.close()
    await writer.wait_closed()
    return bytes(handshake.getpeercert(binary_form=True))


async def test_new_files_are_taken_over_recorded_and_shown_in_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    setting, port = listening_setting(home)
    told: list[Entry] = []
    reloaded = asyncio.Event()
    record = AuditLog.record

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        told.append(entry)
        if entry["event"] == "tls.reloaded":
            reloaded.set()

    monkeypatch.setattr(AuditLog, "record", overheard)
    monkeypatch.setattr(housekeeping, "ROUND_S", 0.01)
    trusted = ssl.create_default_context(cafile=str(home.ca_certificate))
    fresh = issue_server_tls((), datetime.fromtimestamp(NOW_S, UTC))
    trusted.load_verify_locations(cadata=fresh.ca_pem.decode())
    async with opened(setting) as running, asyncio.timeout(PATIENCE_S):
        before = await shown(port, trusted)
        (home.tls / "server.key").write_bytes(fresh.key_pem)
        (home.tls / "server.pem").write_bytes(fresh.certificate_pem)
        await reloaded.wait()
        assert await shown(port, trusted) != before
        hurry = asyncio.Event()
        hurry.set()
        assert 'corral_tls_certificate_expires_seconds{file="certificate"} 7.7' in await page(running)
        await running.drain(hurry)
    assert told[-1]["event"] == "gateway.stopped"


async def page(running: App) -> str:
    return (await running._metrics_page()).decode()
