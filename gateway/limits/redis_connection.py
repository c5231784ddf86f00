"""How a connection to the store's Redis is made, from the settings and the files they name, read once."""

import ssl
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from gateway.configuration.settings import StoreSettings
from gateway.configuration.store_url import StoreUrl, read_store_url
from gateway.limits.redis_link import MakeConnection

MAX_PASSWORD_BYTES = 4096


class SharedStoreFault(Exception):
    """The store's files cannot be used; the message is one line with the path and the remedy, never content."""


def connections_to(settings: StoreSettings, home: Path) -> MakeConnection:
    """What makes one connection, not yet connected. Raises SharedStoreFault."""
    url = read_store_url(settings.url)
    password = _password(home / settings.password_file) if settings.password_file else None
    # RESP2 and no `CLIENT SETINFO`: the fewest words before the first question.
    common: dict[str, Any] = {
        "db": url.db,
        "password": password,
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": None,
        "socket_connect_timeout": settings.timeout_ms / 1000,
    }
    if url.path:
        return lambda: UnixDomainSocketConnection(path=url.path, **common)
    if not url.tls:
        return lambda: Connection(host=url.host, port=url.port, **common)
    context = _context(home / settings.ca_file if settings.ca_file else None)
    return lambda: _over_tls(url, context, common)


def _over_tls(url: StoreUrl, context: ssl.SSLContext, common: dict[str, Any]) -> AbstractConnection:
    """redis-py would trust the system's issuers beside ours, and read the bundle for each connection."""
    connection = SSLConnection(host=url.host, port=url.port, **common)
    connection.ssl_context.context = context
    return connection


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as fault:
        raise SharedStoreFault(
            f"store.ca_file {ca_file} is no PEM bundle that can be read: {type(fault).__name__}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _password(path: Path) -> str:
    """The file's one line. Raises SharedStoreFault when it is open to others, empty or cannot be read."""
    try:
        with path.open("rb") as file:
            if path.stat().st_mode & 0o077:
                raise SharedStoreFault(f"store.password_file {path} is open to others: run 'chmod 400 {path}'")
            password = file.read(MAX_PASSWORD_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not ASCII"
        raise SharedStoreFault(f"store.password_file {path} cannot be read ({reason})") from None
    if not password:
        raise SharedStoreFault(f"store.password_file {path} is empty")
    return password
