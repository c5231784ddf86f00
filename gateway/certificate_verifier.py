"""Client certificates at step 5: does the connection's still hold, and whom does it stand for?"""

from collections.abc import Callable, Mapping

from gateway.clock import Clock, unix_s
from policies.certificates.certificate_identity import verify_certificate
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.certificates.client_trust import ClientTrust
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.credential import CertificateCredential
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated


class CertificateVerifier:
    """`trust` answers the authorities and lists in force; `identities` are the policy's, swapped with it."""

    def __init__(
        self, trust: Callable[[], ClientTrust | None], identities: Mapping[str, CertificateIdentity], clock: Clock
    ) -> None:
        self._trust = trust
        self._clock = clock
        self.identities = identities

    def require(self, certificate: ClientCertificate) -> None:
        """Raises NotAuthenticated unless `certificate`, verified in a handshake some time ago, still holds.

        Asked whatever the credential: a revoked certificate's connection must not carry a valid key either.
        """
        trust = self._trust()
        if trust is None:
            raise NotAuthenticated("certificate_authority_gone", presented=True)
        trust.require(certificate, self._now_s())

    def verify(self, credential: CertificateCredential) -> Principal:
        """The principal behind the connection's certificate. Raises NotAuthenticated."""
        return verify_certificate(credential.certificate, self.identities, self._now_s())

    def _now_s(self) -> float:
        return unix_s(self._clock)
