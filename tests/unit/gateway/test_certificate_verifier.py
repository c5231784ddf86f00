"""Client certificates at step 5: asked of every request on their connection, whatever its credential."""

from datetime import UTC, datetime

import pytest

from gateway.certificate_verifier import CertificateVerifier
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.certificates.client_trust import ClientTrust, read_client_trust
from policies.credentials.client_certificate import read_client_certificate
from policies.credentials.credential import CertificateCredential
from policies.errors import NotAuthenticated
from tests.authority import Authority, der
from tests.fakes import ManualClock

APP = "uri:spiffe://test/app"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def authority(tmp_path, clock):
    return Authority(tmp_path, now=datetime.fromtimestamp(clock.unix_ns() / 1e9, UTC))


def test_it_holds_until_the_files_say_otherwise(authority, clock):
    trust: list[ClientTrust | None] = [read_client_trust(authority.pem, None)]
    verifier = CertificateVerifier(lambda: trust[0], {APP: CertificateIdentity(team="one")}, clock)
    file = authority.issue("app")[0]
    certificate = read_client_certificate(der(file))
    verifier.require(certificate)
    assert verifier.verify(CertificateCredential(certificate)).team == "one"
    trust[0] = read_client_trust(authority.pem, authority.revoke(file).read_bytes())
    with pytest.raises(NotAuthenticated, match="certificate_revoked"):
        verifier.require(certificate)
    trust[0] = None
    with pytest.raises(NotAuthenticated, match="certificate_authority_gone"):
        verifier.require(certificate)


def test_a_policy_without_the_name_knows_nobody_and_time_goes_on(authority, clock):
    verifier = CertificateVerifier(lambda: None, {APP: CertificateIdentity(team="one")}, clock)
    credential = CertificateCredential(read_client_certificate(der(authority.issue("app")[0])))
    verifier.identities = {}
    with pytest.raises(NotAuthenticated, match="certificate_unmapped"):
        verifier.verify(credential)
    verifier.identities = {APP: CertificateIdentity(team="two")}
    assert verifier.verify(credential).team == "two"
    clock.move(10 * 86_400)
    with pytest.raises(NotAuthenticated, match="certificate_expired"):
        verifier.verify(credential)
