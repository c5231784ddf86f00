"""Step 5: from a credential to a principal, with the bound on guessing enforced on failure.

Each kind of credential has one verifier. The connection's certificate is judged whatever the credential, and
whoever was proven is held against what was revoked or locked since.
"""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.clock import Clock
from policies.addresses.networks import Address
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import (
    ApiKeyCredential,
    CertificateCredential,
    Credential,
    JwtCredential,
    Presented,
    SessionCredential,
    SignedCredential,
)
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated
from policies.limiting.guessing import GuessAllowance, Guessing


class ApiKeys(Protocol):
    """What verifies API keys: `gateway.keys.api_key_verifier.ApiKeyVerifier`."""

    def verify(self, credential: ApiKeyCredential) -> Principal:
        """The principal. Raises NotAuthenticated or PolicyUnavailable."""
        ...


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


class Certificates(Protocol):
    """What judges client certificates: `gateway.certificate_verifier.CertificateVerifier`."""

    def require(self, certificate: ClientCertificate) -> None:
        """Raises NotAuthenticated unless the connection's certificate still holds."""
        ...

    def verify(self, credential: CertificateCredential) -> Principal:
        """The principal. Raises NotAuthenticated."""
        ...


class Sessions(Protocol):
    """What knows the console's sessions: `gateway.console.session_verifier.SessionVerifier`."""

    async def verify(self, credential: SessionCredential) -> Principal:
        """The principal. Raises NotAuthenticated, NotAuthorized or PolicyUnavailable."""
        ...


class NoSessions:
    """Without a console there are none."""

    async def verify(self, credential: SessionCredential) -> Principal:  # noqa: ARG002 (nobody has one)
        """Raises NotAuthenticated."""
        raise NotAuthenticated("session_unknown", presented=True)


class Revocations(Protocol):
    """What knows who was let in once and is no longer."""

    def check(self, principal: Principal) -> None:
        """Raises NotAuthenticated, LockedDown, or PolicyUnavailable when its knowledge is too old."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifiers:
    """One for each kind of credential, and who knows what was taken back since. None may be missing."""

    api_keys: ApiKeys
    tokens: Tokens
    signatures: Signatures
    certificates: Certificates
    revocations: Revocations
    sessions: Sessions = field(default_factory=NoSessions)


class Identity:
    """Verifies credentials of every kind."""

    def __init__(self, verifiers: Verifiers, guessing: Guessing, clock: Clock) -> None:
        self._verifiers = verifiers
        self._clock = clock
        self.guessing = guessing

    def allowance(self, client: Address) -> GuessAllowance:
        """What this client's network has left to guess."""
        return self.guessing.read(client, self._clock.mono_ns())

    async def verify(self, credential: Credential, allowance: GuessAllowance, presented: Presented) -> Principal:
        """The principal behind `credential`.

        Raises NotAuthenticated, or RateLimited in its place when the client's network guessed too often;
        NotAuthorized for a proven caller whom nothing maps to a team; LockedDown; PolicyUnavailable.
        """
        try:
            if presented.certificate is not None:
                self._verifiers.certificates.require(presented.certificate)
            principal = await self._prove(credential, presented.certificate)
            self._verifiers.revocations.check(principal)
        except NotAuthenticated:
            self.guessing.charge_failure(allowance, self._clock.mono_ns())
            raise
        return principal

    def require_certificate(self, certificate: ClientCertificate) -> None:
        """Raises NotAuthenticated unless a connection's certificate still holds."""
        self._verifiers.certificates.require(certificate)

    def require_unrevoked(self, principal: Principal) -> None:
        """Raises NotAuthenticated, LockedDown or PolicyUnavailable for somebody who was proven before."""
        self._verifiers.revocations.check(principal)

    async def _prove(self, credential: Credential, certificate: ClientCertificate | None) -> Principal:
        match credential:
            case ApiKeyCredential():
                return self._verifiers.api_keys.verify(credential)
            case JwtCredential():
                return await self._verifiers.tokens.verify(credential, certificate)
            case SignedCredential():
                return self._verifiers.signatures.verify(credential)
            case CertificateCredential():
                return self._verifiers.certificates.verify(credential)
            case SessionCredential():
                return await self._verifiers.sessions.verify(credential)
