"""Gets one issuer's key set from where the policy says: an address, a discovery document, or a file.

Nothing a token says ever chooses an address (`jku`, `x5u` and the like are refused with the token). The
answer is bounded in bytes, keys and seconds, no redirect is followed, no proxy taken from the environment;
what comes is parsed strictly or not taken at all. Every fault is a KeySetFault, whose text holds nothing
that the other side sent.
"""

import os
from pathlib import Path
from typing import Protocol

from gateway.homes.plain_file import open_plain
from gateway.outbound import Outbound, OutboundFault, OutboundRefused
from gateway.outbound_clients import OutboundClients
from policies.tokens.discovery import key_set_url
from policies.tokens.issuer import Issuer
from policies.tokens.issuer_url import IssuerUrl, read_issuer_url
from policies.tokens.jwk import MAX_SET_BYTES, KeySet, NoSigningKey, read_key_set

FETCH_S = 5.0
"""From the first byte out to the last byte in. Requests may be waiting for it."""
MAX_DOCUMENT_BYTES = MAX_SET_BYTES


class KeySetFault(Exception):
    """The key set could not be had; the text says why, for the log."""


class KeysWithdrawn(KeySetFault):
    """The key set was had, and holds no key to judge by: those of before are worth nothing any more."""


class KeySetFetch(Protocol):
    """One place that a key set comes from."""

    async def fetch(self) -> KeySet:
        """The key set as it is now. Raises KeySetFault."""
        ...

    async def close(self) -> None:
        """Close what connections there are."""
        ...


class FileFetch:
    """A file, parsed again when it has changed. It is small, and a local disk does not keep anyone waiting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_as: tuple[int, int, int] | None = None
        self._keys = KeySet(())

    async def fetch(self) -> KeySet:
        """See KeySetFetch."""
        try:
            self._read_if_changed()
        except OSError as fault:
            raise KeySetFault(f"{self._path}: {fault.strerror}") from None
        return self._keys

    async def close(self) -> None:
        """Nothing is open."""

    def _read_if_changed(self) -> None:
        with open_plain(self._path) as file:
            status = os.fstat(file.fileno())
            found = (status.st_ino, status.st_size, status.st_mtime_ns)
            if found == self._read_as:
                return
            self._keys = _parsed(file.read(MAX_SET_BYTES + 1))
        self._read_as = found


class UrlFetch:
    """An address, or the one that the discovery document names; that one is asked for again after a fault."""

    def __init__(self, issuer: Issuer, clients: OutboundClients) -> None:
        self._issuer = issuer
        self._open = clients.open
        self._document_url = issuer.document_url()
        self._fixed_url = read_issuer_url(issuer.jwks_url) if issuer.jwks_url is not None else None
        self._found_url: IssuerUrl | None = None
        self._clients: dict[str, Outbound] = {}

    async def fetch(self) -> KeySet:
        """See KeySetFetch."""
        try:
            url = self._fixed_url or self._found_url or await self._discover()
            keys = _parsed(await self._get(url))
        except KeySetFault:
            self._found_url = None
            raise
        self._found_url = url
        return keys

    async def close(self) -> None:
        """See KeySetFetch."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def _discover(self) -> IssuerUrl:
        asked = self._document_url
        if asked is None:
            raise KeySetFault("no address")
        document = await self._get(asked)
        try:
            return key_set_url(document, self._issuer, asked)
        except ValueError as fault:
            raise KeySetFault(str(fault)) from None

    async def _get(self, url: IssuerUrl) -> bytes:
        try:
            client = self._client(url.origin)
            return await client.fetch("GET", url.path or "/", max_body_bytes=MAX_DOCUMENT_BYTES, total_s=FETCH_S)
        except OutboundRefused as refused:
            raise KeySetFault(f"{url.origin} answered with status {refused.status}") from None
        except OutboundFault as fault:
            raise KeySetFault(f"{url.origin} could not be asked: {fault}") from None

    def _client(self, origin: str) -> Outbound:
        """The client for `origin`: its connection stays, so that a refresh needs no handshake. Raises OutboundFault."""
        client = self._clients.get(origin)
        if client is None:
            bundle = self._issuer.ca_file
            client = self._open(origin, ca_file=bundle, connect_timeout_s=FETCH_S, idle_timeout_s=FETCH_S)
            self._clients[origin] = client
        return client


def open_fetch(issuer: Issuer, home: Path, clients: OutboundClients) -> KeySetFetch:
    """The fetch for `issuer`, its files relative to `home`."""
    if issuer.jwks_file is not None:
        return FileFetch(home / issuer.jwks_file)
    return UrlFetch(issuer, clients)


def _parsed(data: bytes) -> KeySet:
    try:
        return read_key_set(data)
    except NoSigningKey as fault:
        raise KeysWithdrawn(str(fault)) from None
    except ValueError as fault:
        raise KeySetFault(str(fault)) from None
