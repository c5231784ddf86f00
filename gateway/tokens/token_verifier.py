"""Step 5 for a JWT: joins the token's checks (`policies.tokens.jwt`) with the issuers' keys and the cache.

The issuers are the policy's and are swapped whole by `take`; an issuer whose keys come from the same place
keeps those at hand. What was proven under the policy or the revocations of before is forgotten: `take`
and `flush` start a new generation, and a check that began in an older one leaves nothing in the cache.

Nothing here answers with a doubt: a principal, or an error.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog
from msgspec import Struct

from gateway.clock import Clock
from gateway.tokens.key_set_fetch import KeySetFetch
from gateway.tokens.key_set_source import FROM_A_FILE, OVER_THE_NETWORK, KeySetSource
from gateway.tokens.verified_cache import Proven, VerifiedCache
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import JwtCredential
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized
from policies.tokens.claims import principal_of
from policies.tokens.issuer import Issuer
from policies.tokens.jwt import check_kind, require_binding, verify_jwt
from policies.tokens.jwt_form import UnverifiedJwt, read_jwt, unverified_issuer

log = structlog.get_logger("corral.tokens")

TICK_S = 5.0
"""How often the background looks which key sets are due."""

Note = Callable[[str, dict[str, str | int | float | bool]], None]


class Judge(Struct, frozen=True):
    """An issuer by its name in the policy, and its keys."""

    name: str
    issuer: Issuer
    source: KeySetSource


class TokenVerifier:
    """Verifies JWTs. `note(event, details)` tells the audit log of key sets lost and found; it must not block."""

    def __init__(self, clock: Clock, open_fetch: Callable[[Issuer], KeySetFetch], note: Note) -> None:
        self._clock = clock
        self._note = note
        self._open_fetch = open_fetch
        self._judges: dict[str, Judge] = {}
        self._retired: list[KeySetSource] = []
        self._cache = VerifiedCache()
        self._generation = 0
        self._wake = asyncio.Event()
        self._background: asyncio.Task[None] | None = None

    # ---- life

    def take(self, issuers: Mapping[str, Issuer]) -> None:
        """Judge by these issuers from the next token on."""
        known = {judge.name: judge for judge in self._judges.values()}
        judges = [self._judge(name, issuer, known.get(name)) for name, issuer in issuers.items()]
        kept = {id(judge.source) for judge in judges}
        self._retired += [judge.source for judge in known.values() if id(judge.source) not in kept]
        self._judges = {judge.issuer.issuer: judge for judge in judges}
        self.flush()
        self._wake.set()

    def start(self) -> None:
        """Fetch keys in the background from now on."""
        self._background = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """End the background and close all connections."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        self._retired += [judge.source for judge in self._judges.values()]
        await self._close_retired()

    @property
    def keeping(self) -> bool:
        """Whether the background runs."""
        return self._background is not None and not self._background.done()

    def keyless(self) -> tuple[str, ...]:
        """The issuers that the policy requires and that have no keys to judge by, by their names in the policy."""
        required = (judge for judge in self._judges.values() if judge.issuer.required)
        return tuple(judge.name for judge in required if not judge.source.usable())

    def flush(self) -> None:
        """Forget every proven token: something was revoked, or the policy is another."""
        self._generation += 1
        self._cache.flush()

    def key_set_ages(self) -> dict[str, float]:
        """Seconds since each issuer's keys were fetched, by its name in the policy; infinity without any."""
        ages = {judge.name: judge.source.age_s() for judge in self._judges.values()}
        return {name: float("inf") if age_s is None else age_s for name, age_s in ages.items()}

    # ---- the check

    async def verify(self, credential: JwtCredential, certificate: ClientCertificate | None) -> Principal:
        """The principal behind a token, over a connection that showed `certificate`.

        Raises NotAuthenticated; NotAuthorized for a proven caller without a team; PolicyUnavailable without keys.
        """
        known = self._cache.get(credential.text, self._now_s(), self._mono_s())
        if known is not None:
            require_binding(known.binding, certificate)
            return known.principal
        generation = self._generation
        proven = await self._prove(read_jwt(credential.text), certificate)
        if generation == self._generation:
            self._cache.put(credential.text, proven, self._mono_s())
        return proven.principal

    async def _prove(self, jwt: UnverifiedJwt, certificate: ClientCertificate | None) -> Proven:
        judge = self._judges.get(unverified_issuer(jwt))
        if judge is None:
            raise NotAuthenticated("jwt_issuer", presented=True)
        check_kind(jwt, judge.issuer)
        keys = await judge.source.keys_for(jwt.unverified_kid)
        verified = verify_jwt(jwt, judge.issuer, keys, self._now_s())
        require_binding(verified.binding, certificate)
        try:
            principal = principal_of(verified, judge.issuer)
        except NotAuthorized as refused:  # proven, so the log may name the caller
            raise NotAuthorized(refused.reason, actor=verified.subject, issuer=judge.issuer.issuer) from None
        return Proven(principal=principal, binding=verified.binding, expires_s=verified.expires_s)

    # ---- keys

    def _judge(self, name: str, issuer: Issuer, known: Judge | None) -> Judge:
        if known is not None and known.issuer.key_source == issuer.key_source:
            return Judge(name, issuer, known.source)
        pace = FROM_A_FILE if issuer.jwks_file is not None else OVER_THE_NETWORK
        fetch = self._open_fetch(issuer)
        return Judge(name, issuer, KeySetSource(fetch, self._clock, issuer.stale_s, self._teller(name), pace))

    def _teller(self, name: str) -> Callable[[str], None]:
        def told(fault: str) -> None:
            if fault:
                log.error("key_set_fault", issuer=name, cause=fault)
            self._note("issuer.keys_lost" if fault else "issuer.keys_back", {"issuer": name})

        return told

    async def _keep_fresh(self) -> None:
        while True:
            self._wake.clear()
            await asyncio.gather(*(self._refresh(judge) for judge in self._judges.values()))
            await self._close_retired()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()

    async def _refresh(self, judge: Judge) -> None:
        try:
            await judge.source.refresh_if_due()
        except Exception as bug:  # a supervisor loop: one issuer's trouble must not end the others' refresh
            log.error("bug", issuer=judge.name, exc_info=bug)

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close()

    def _now_s(self) -> float:
        return self._clock.unix_ns() / 1e9

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9
