"""Whom a certificate stands for: exactly who the policy names, and nobody else."""

import pytest

from policies.addresses.networks import Networks
from policies.certificates.certificate_identity import verify_certificate
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.credentials.client_certificate import ClientCertificate
from policies.errors import NotAuthenticated

NETWORKS = Networks(allow=("10.0.0.0/8",))
IDENTITIES = {
    "uri:spiffe://test/app": CertificateIdentity(team="red", models=("m",), networks=NETWORKS),
    "dns:app.test": CertificateIdentity(team="red", models=("m",), networks=NETWORKS),
    "dns:other.test": CertificateIdentity(team="blue"),
}


def certificate(*names: str) -> ClientCertificate:
    return ClientCertificate("ab", "cd", names, 100.0)


def test_a_mapped_name_is_the_principal():
    principal = verify_certificate(certificate("dns:x.test", "uri:spiffe://test/app", "dns:app.test"), IDENTITIES, 99.0)
    assert (principal.kind, principal.team, principal.subject) == ("certificate", "red", "uri:spiffe://test/app")
    assert principal.scopes == {"inference", "models"}
    assert (principal.models, principal.networks, principal.expires_s) == (("m",), NETWORKS, 100.0)
    assert principal.actor == "uri:spiffe://test/app"
    assert principal.other_names == ("dns:x.test", "dns:app.test")


@pytest.mark.parametrize(
    ("names", "now_s", "reason"),
    [
        (("dns:app.test",), 100.0, "certificate_expired"),
        ((), 0.0, "certificate_unmapped"),
        (("dns:APP.test", "dns:*.test", "uri:spiffe://test/app/x"), 0.0, "certificate_unmapped"),
        (("dns:app.test", "dns:other.test"), 0.0, "certificate_ambiguous"),
    ],
)
def test_nobody_else(names, now_s, reason):
    with pytest.raises(NotAuthenticated) as refused:
        verify_certificate(certificate(*names), IDENTITIES, now_s)
    assert refused.value.reason == reason
    assert refused.value.presented
