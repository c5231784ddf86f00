"""Step 5: from a credential to a principal, with the bound on guessing enforced on failure.

Each kind of credential has one verifier. A kind that nothing here verifies is refused like a wrong one.
"""

from collections.abc import Mapping
from typing import Protocol

from gateway.clock import Clock
from gateway.keys.key_store import KeyStore
from policies.client_certificate import ClientCertificate
from policies.credential import (
    ApiKeyCredential,
    Credential,
    JwtCredential,
    Presented,
    SignedCredential,
)
from policies.errors import NotAuthenticated
from policies.guessing import GuessAllowance, Guessing
from policies.networks import Address
from policies.principal import Principal, verify_api_key


class Tokens(Protocol):
    """What verifies JWTs: `gateway.tokens.token_verifier.TokenVerifier`."""

    async def verify(self, credential: JwtCredential, certificate: ClientCertificate | None) -> Principal:
        """The principal. Raises NotAuthenticated, NotAuthorized, or PolicyUnavailable without keys to judge by."""
        ...


class Signatures(Protocol):
    """What verifies signatures of registered public keys."""

    def verify(self, credential: SignedCredential) -> Principal:
        """The principal. Raises NotAuthenticated or PolicyUnavailable."""
        ...


class Revocations(Protocol):
    """What knows who was let in once and is no longer."""

    def check(self, principal: Principal) -> None:
        """Raises NotAuthenticated, LockedDown, or PolicyUnavailable when its knowledge is too old."""
        ...


class Identity:
    """Verifies credentials of every kind."""

    def __init__(
        self,
        keys: KeyStore,
        peppers: Mapping[int, bytes],
        guessing: Guessing,
        clock: Clock,
        *,
        tokens: Tokens | None = None,
        signatures: Signatures | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self._keys = keys
        self._peppers = peppers
        self._clock = clock
        self._tokens = tokens
        self._signatures = signatures
        self._revocations = revocations
        self.guessing = guessing

    def allowance(self, client: Address) -> GuessAllowance:
        """What this client's network has left to guess."""
        return self.guessing.read(client, self._clock.mono_ns() / 1e9)

    async def verify(self, credential: Credential, allowance: GuessAllowance, presented: Presented) -> Principal:
        """The principal behind `credential`.

        Raises NotAuthenticated, or RateLimited in its place when the client's network guessed too often;
        NotAuthorized for a proven caller whom nothing maps to a team; LockedDown; PolicyUnavailable.
        """
        try:
            principal = await self._prove(credential, presented.certificate)
            if self._revocations is not None:
                self._revocations.check(principal)
        except NotAuthenticated:
            self.guessing.charge_failure(allowance, self._clock.mono_ns() / 1e9)
            raise
        return principal

    async def _prove(self, credential: Credential, certificate: ClientCertificate | None) -> Principal:
        now_s = self._clock.unix_ns() / 1e9
        match credential:
            case ApiKeyCredential():
                return verify_api_key(credential, self._keys.get, self._peppers, now_s)
            case JwtCredential() if self._tokens is not None:
                return await self._tokens.verify(credential, certificate)
            case SignedCredential() if self._signatures is not None:
                return self._signatures.verify(credential)
        raise NotAuthenticated("credential_kind_off", presented=True)
