"""How connections are made: over a socket, or over TLS with a password, against real servers."""

import contextlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.proofs.redis_cancel import ECHO
from gateway.configuration.settings import StoreSettings
from gateway.homes.local_ca import ServerTls, issue_server_tls
from gateway.limits.redis_connection import SharedStoreFault, connections_to
from gateway.limits.redis_link import RedisAway, RedisLink
from tests.redis_server import RedisServer, redis_server

PATIENT_MS = 30_000


def write_tls(folder: Path, tls: ServerTls) -> None:
    (folder / "ca.pem").write_bytes(tls.ca_pem)
    (folder / "server.pem").write_bytes(tls.certificate_pem)
    (folder / "server.key").write_bytes(tls.key_pem)


def write_password(folder: Path, text: bytes, mode: int = 0o400) -> None:
    (folder / "password").write_bytes(text)
    (folder / "password").chmod(mode)


@contextlib.contextmanager
def server_at_a_port(option: str, *options: str) -> Iterator[tuple[RedisServer, int]]:
    """A started server with the port that `option` gives it; another one where somebody else was quicker to take it."""
    with contextlib.ExitStack() as stack:
        for last in (False, False, False, True):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = int(free.getsockname()[1])
            try:
                server = stack.enter_context(redis_server(option, str(port), "--bind", "127.0.0.1", *options))
                break
            except TimeoutError:
                if last:
                    raise
        yield server, port


async def echo(settings: StoreSettings, home: Path) -> list[bytes]:
    link = RedisLink(connections_to(settings, home), timeout_s=30.0)
    try:
        return await link.run(ECHO, ["k"], ["v"])
    finally:
        await link.close()


async def test_a_unix_socket_with_a_database_and_a_password(tmp_path: Path) -> None:
    write_password(tmp_path, b"secret\n")
    with redis_server() as server:
        server.ask("CONFIG", "SET", "requirepass", "secret")
        settings = StoreSettings(url=f"{server.url}?db=3", password_file="password", timeout_ms=PATIENT_MS)
        assert await echo(settings, tmp_path) == [b"k", b"v"]
        with pytest.raises(RedisAway, match=r"noauth|authentication"):
            await echo(StoreSettings(url=server.url, timeout_ms=PATIENT_MS), tmp_path)


async def test_tls_trusts_the_named_issuer_alone(tmp_path: Path) -> None:
    write_tls(tmp_path, issue_server_tls((), datetime.now(UTC)))
    write_password(tmp_path, b"secret")
    other = tmp_path / "other"
    other.mkdir()
    write_tls(other, issue_server_tls((), datetime.now(UTC)))
    files = ("--tls-cert-file", f"{tmp_path}/server.pem", "--tls-key-file", f"{tmp_path}/server.key")
    with server_at_a_port("--tls-port", *files, "--tls-auth-clients", "no") as (server, port):
        server.ask("CONFIG", "SET", "requirepass", "secret")
        url = f"rediss://localhost:{port}/1"
        good = StoreSettings(url=url, password_file="password", ca_file="ca.pem", timeout_ms=PATIENT_MS)
        assert await echo(good, tmp_path) == [b"k", b"v"]
        for ca_file in ("other/ca.pem", None):
            foreign = StoreSettings(url=url, password_file="password", ca_file=ca_file, timeout_ms=PATIENT_MS)
            with pytest.raises(RedisAway, match="unreachable"):
                await echo(foreign, tmp_path)


async def test_in_clear_only_where_the_settings_insist(tmp_path: Path) -> None:
    """Whether they may is checked with the settings; here it is just a connection."""
    with server_at_a_port("--port") as (_, port):
        settings = StoreSettings(url=f"redis://127.0.0.1:{port}", unsafe_plain_redis=True, timeout_ms=PATIENT_MS)
        assert await echo(settings, tmp_path) == [b"k", b"v"]


@pytest.mark.parametrize(
    ("text", "mode", "fault"),
    [
        (b"secret", 0o440, "is open to others"),
        (b" \n", 0o400, "is empty"),
        ("gehe\u00edm".encode(), 0o400, "it is not ASCII"),
        (None, 0, "No such file"),
    ],
)
def test_a_password_file_that_cannot_be_used(tmp_path: Path, text: bytes | None, mode: int, fault: str) -> None:
    if text is not None:
        write_password(tmp_path, text, mode)
    with pytest.raises(SharedStoreFault, match=fault) as caught:
        connections_to(StoreSettings(url="rediss://redis.example", password_file="password"), tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_bundle_that_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(SharedStoreFault, match="no PEM bundle"):
        connections_to(StoreSettings(url="rediss://redis.example", ca_file="ca.pem"), tmp_path)
