"""The way to the identity provider: its discovery document, its token endpoint, its keys.

Every answer is bounded in bytes and seconds, no redirect is followed, no proxy taken from the environment, and TLS is
checked against `ca_file` or the system's authorities (`gateway.outbound`). While the provider is away one visitor in
RETRY_S waits for it; the others are told at once. Sessions that are open need none of this and go on.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import quote, urlencode

import structlog

from gateway.clock import Clock
from gateway.outbound import Outbound, OutboundFault, OutboundRefused
from gateway.outbound_clients import OutboundClients
from gateway.tokens.key_set_fetch import MAX_DOCUMENT_BYTES, UrlFetch
from gateway.tokens.key_set_source import KeySetSource
from policies.console.oidc_endpoints import Endpoints, read_endpoints
from policies.console.oidc_id_token import Client
from policies.errors import NotAuthenticated, PolicyUnavailable
from policies.tokens.issuer_url import IssuerUrl
from policies.tokens.jwk import KeySet
from policies.tokens.strict_json import read_strict_object

log = structlog.get_logger("corral.console")

FRESH_S = 600.0
"""How long a discovery document is believed."""
RETRY_S = 5.0
ANSWER_S = 10.0
"""From the first byte out to the last byte in; somebody is waiting before a white page."""
MAX_ANSWER_BYTES = 256 * 1024
MAX_AT_ONCE = 8
"""Codes redeemed at once; more people wait for their turn."""


def log_fault(issuer: str, cause: str) -> None:
    """Tell the operator what is wrong with the provider."""
    log.error("identity_provider_fault", issuer=issuer, cause=cause)


class ProviderLink:
    """One provider. That it is away is told once until it is back; callers get PolicyUnavailable each time."""

    def __init__(
        self,
        client: Client,
        secret: str,
        clients: OutboundClients,
        clock: Clock,
        tell: Callable[[str, str], None] = log_fault,
    ) -> None:
        """`secret` is the client's at the provider. Raises ValueError for an issuer that is no address."""
        document = client.issuer.document_url()
        if document is None:
            raise ValueError("an issuer without discovery")
        self._client = client
        self._secret = secret
        self._document = document
        self._open = clients.open
        self._clock = clock
        self._tell = tell
        self._keys = KeySetSource(UrlFetch(client.issuer, clients), clock, client.issuer.stale_s, self._told)
        self._clients: dict[str, Outbound] = {}
        self._endpoints: Endpoints | None = None
        self._fetched_s = self._failed_s = float("-inf")
        self._discovering = asyncio.Lock()
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._fault = ""

    async def endpoints(self) -> Endpoints:
        """Where the provider's endpoints are. Raises PolicyUnavailable."""
        async with self._discovering:
            known = self._endpoints
            if known is not None and self._now_s() - self._fetched_s < FRESH_S:
                return known
            if self._now_s() - self._failed_s < RETRY_S:
                raise PolicyUnavailable("oidc_away")
            self._endpoints = await self._discover()
            self._fetched_s = self._now_s()
            self._told("")
            return self._endpoints

    async def redeem(self, endpoints: Endpoints, form: dict[str, str]) -> bytes:
        """The token endpoint's answer to `form`.

        Raises NotAuthenticated (oidc_code) for a code that the provider does not take, PolicyUnavailable for the rest.
        """
        own = {"client_id": self._client.client_id}
        if endpoints.secret_in_form:
            own["client_secret"] = self._secret
        outbound = self._outbound(endpoints.token, signed=not endpoints.secret_in_form)
        try:
            async with self._places:
                return await outbound.fetch(
                    "POST",
                    endpoints.token.path or "/",
                    urlencode({**form, **own}).encode(),
                    max_body_bytes=MAX_ANSWER_BYTES,
                    total_s=ANSWER_S,
                    content_type="application/x-www-form-urlencoded",
                )
        except OutboundRefused as refused:
            if _error(refused.body) == "invalid_grant":
                raise NotAuthenticated("oidc_code", presented=True) from None
            raise self._away(
                f"its token endpoint answered with status {refused.status}: {_error(refused.body)}"
            ) from None
        except OutboundFault as fault:
            raise self._away(f"its token endpoint could not be asked: {fault}") from None

    async def keys_for(self, kid: str) -> KeySet:
        """The keys to judge an ID token with `kid` by. Raises PolicyUnavailable."""
        await self._keys.refresh_if_due()
        return await self._keys.keys_for(kid)

    async def examine(self) -> str:
        """What is wrong with the provider, "" for nothing: its document and its keys are fetched now."""
        try:
            await self.endpoints()
            await self._keys.keys_for("")
        except PolicyUnavailable:
            return self._fault
        return ""

    async def close(self) -> None:
        """Close all connections."""
        await self._keys.close()
        for outbound in self._clients.values():
            await outbound.close()
        self._clients.clear()

    async def _discover(self) -> Endpoints:
        try:
            outbound = self._outbound(self._document, signed=False)
            document = await outbound.fetch(
                "GET", self._document.path, max_body_bytes=MAX_DOCUMENT_BYTES, total_s=ANSWER_S
            )
            issuer = self._client.issuer
            return read_endpoints(document, issuer.issuer, self._document, issuer.jwks_hosts)
        except (OutboundRefused, OutboundFault, ValueError) as fault:
            self._failed_s = self._now_s()
            raise self._away(f"its discovery document could not be had: {fault}") from None

    def _outbound(self, url: IssuerUrl, *, signed: bool) -> Outbound:
        """The client for the host of `url`; a signed one shows our secret with every request, so it is one of its own.

        Raises PolicyUnavailable when the bundle of authorities cannot be read, or the host is not to be called.
        """
        name = f"{url.origin} {signed}"
        outbound = self._clients.get(name)
        if outbound is None:
            bundle = self._client.issuer.ca_file
            try:
                outbound = self._open(url.origin, ca_file=bundle, connect_timeout_s=ANSWER_S, idle_timeout_s=ANSWER_S)
            except OutboundFault as fault:
                raise self._away(f"{url.origin} could not be asked: {fault}") from None
            if signed:  # RFC 6749 section 2.3.1: each half spelt as in a form
                outbound.show_password(quote(self._client.client_id, safe=""), quote(self._secret, safe=""))
            self._clients[name] = outbound
        return outbound

    def _away(self, fault: str) -> PolicyUnavailable:
        self._told(fault)
        return PolicyUnavailable("oidc_away")

    def _told(self, fault: str) -> None:
        """Changes only, for the operator."""
        if fault and fault != self._fault:
            self._tell(self._client.issuer.issuer, fault)
        self._fault = fault

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9


KNOWN_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
)
"""RFC 6749 section 5.2; what else a provider writes there is not repeated."""


def _error(body: bytes) -> str:
    try:
        error = read_strict_object(body).get("error")
    except ValueError:
        return "no JSON"
    return error if isinstance(error, str) and error in KNOWN_ERRORS else "another error"
