"""Step 5 for a client certificate: whom does it stand for? The mapping is the policy's, default nobody.

Rules, in this order:
 (a) the certificate has not ended: a connection can outlive it                   certificate_expired
 (b) one of its names stands in the policy's `certificates`, by the exact text    certificate_unmapped
 (c) all of its names that stand there say the same                               certificate_ambiguous

The handshake proved that the caller holds the key and that our own authorities signed the certificate;
`client_trust` is asked before this whether it was revoked since.
"""

from collections.abc import Mapping

from policies.certificates.certificate_mapping import CertificateIdentity
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated


def verify_certificate(
    certificate: ClientCertificate, identities: Mapping[str, CertificateIdentity], now_s: float
) -> Principal:
    """The principal that `certificate` stands for at `now_s` (Unix seconds). Raises NotAuthenticated."""
    if now_s >= certificate.not_after_s:
        raise NotAuthenticated("certificate_expired", presented=True)
    named = [name for name in certificate.names if name in identities]
    if not named:
        raise NotAuthenticated("certificate_unmapped", presented=True)
    identity = identities[named[0]]
    if any(identities[name] != identity for name in named):
        raise NotAuthenticated("certificate_ambiguous", presented=True)
    return Principal(
        kind="certificate",
        team=identity.team,
        owner=named[0],
        scopes=frozenset(identity.scopes),
        networks=identity.networks,
        subject=named[0],
        other_names=tuple(name for name in certificate.names if name != named[0]),
        issued_s=certificate.not_before_s,
        expires_s=certificate.not_after_s,
        models=identity.models,
    )
