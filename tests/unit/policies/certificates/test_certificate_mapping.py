"""What the policy may say of a certificate."""

import pytest

from policies.certificates.certificate_mapping import CertificateIdentity, check_certificate_name


@pytest.mark.parametrize("name", ["uri:spiffe://example/app", "dns:app.example", "dns:*.example", "email:a@example"])
def test_names_that_a_certificate_can_carry(name):
    check_certificate_name(name)


@pytest.mark.parametrize("name", ["", "app", "dns:App", "dns:", "uri:no-scheme", "email:a", "ip:127.0.0.1", "dns:a\n"])
def test_names_that_it_cannot(name):
    with pytest.raises(ValueError, match="subject alternative name"):
        check_certificate_name(name)


def test_scopes_are_checked():
    assert CertificateIdentity(team="red").scopes == ("inference", "models")
    with pytest.raises(ValueError, match="no scope is called"):
        CertificateIdentity(team="red", scopes=("everything",))
