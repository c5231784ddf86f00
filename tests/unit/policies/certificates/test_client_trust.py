"""Whether a certificate still holds, asked long after its handshake."""

import base64
import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from policies.certificates import client_trust
from policies.certificates.client_trust import UnfitTrust, read_client_trust
from policies.credentials.client_certificate import ClientCertificate, read_client_certificate
from policies.errors import NotAuthenticated
from tests.authority import Authority, der

DAY_S = 86_400.0


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def issue(authority: Authority, name: str = "app", **values: object) -> ClientCertificate:
    return read_client_certificate(der(authority.issue(name, **values)[0]))


def reason_of(trust: client_trust.ClientTrust, certificate: ClientCertificate, now_s: float) -> str:
    try:
        trust.require(certificate, now_s)
    except NotAuthenticated as refused:
        return refused.reason if refused.presented else "said to show nothing"
    return ""


def test_without_lists_authority_and_dates_decide(authority, tmp_path, monkeypatch):
    monkeypatch.setattr(client_trust, "MAX_KNOWN", 1)
    trust = read_client_trust(authority.pem, None)
    certificate, now_s = issue(authority), authority.now.timestamp()
    stranger = issue(Authority(tmp_path, "other authority", authority.now))
    namesake = issue(Authority(tmp_path, authority.name, authority.now))
    for _ in range(2):
        assert reason_of(trust, certificate, now_s) == ""
        assert reason_of(trust, stranger, now_s) == "certificate_authority_gone"
        assert reason_of(trust, namesake, now_s) == "certificate_authority_gone"
    assert reason_of(trust, certificate, now_s + 10 * DAY_S) == "certificate_expired"
    late = issue(authority, days=(-1, 90))
    assert reason_of(trust, late, now_s + 30 * DAY_S) == "certificate_authority_gone"
    assert trust.authorities_end_s == now_s + 30 * DAY_S
    assert trust.lists_end_s is None


def test_lists_refuse_revoked_missing_and_overdue(authority, tmp_path):
    other = Authority(tmp_path, "other authority", authority.now)
    good, bad = issue(authority), authority.issue("bad")[0]
    revoked = read_client_certificate(der(bad))
    trust = read_client_trust(authority.pem + other.pem, b"# ours\n" + authority.revoke(bad).read_bytes())
    now_s = authority.now.timestamp()
    assert reason_of(trust, good, now_s) == ""
    assert reason_of(trust, revoked, now_s) == "certificate_revoked"
    assert reason_of(trust, issue(other), now_s) == "crl_missing"
    assert reason_of(trust, good, now_s + 5 * DAY_S) == "crl_expired"
    assert reason_of(trust, revoked, now_s + 5 * DAY_S) == "certificate_revoked"
    assert trust.lists_end_s == now_s + 5 * DAY_S


def test_the_newest_of_an_authoritys_lists_counts_and_each_one_revokes(authority):
    bad = authority.issue("bad")[0]
    old = authority.revoke(bad, days=(-3, -2)).read_bytes()
    trust = read_client_trust(authority.pem, old + authority.revoke().read_bytes())
    now_s = authority.now.timestamp()
    assert reason_of(trust, issue(authority), now_s) == ""
    assert reason_of(trust, read_client_certificate(der(bad)), now_s) == "certificate_revoked"


def test_a_list_that_never_ends(authority):
    trust = client_trust.ClientTrust(
        [authority.certificate], [client_trust.RevocationList(authority.subject, frozenset(), None)]
    )
    assert reason_of(trust, issue(authority), authority.now.timestamp() + 9 * DAY_S) == ""
    assert trust.lists_end_s is None


@pytest.mark.parametrize(
    ("lists", "text"),
    [(b"", "no PEM revocation list"), (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----", "cannot be read")],
)
def test_files_that_cannot_be_used(authority, lists, text):
    with pytest.raises(UnfitTrust, match=text):
        read_client_trust(authority.pem, lists)
    with pytest.raises(UnfitTrust, match="no usable PEM certificate"):
        read_client_trust(b"hello", None)


def pem(kind: str, content: bytes) -> bytes:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(content).decode()}-----END {kind}-----\n".encode()


@pytest.mark.parametrize("version", range(8))
def test_a_list_of_any_version_is_read_or_refused(authority, version):
    shown = x509.load_pem_x509_crl(authority.revoke().read_bytes()).public_bytes(Encoding.DER)
    assert shown.count(b"\x02\x01\x01\x30") == 1
    changed = shown.replace(b"\x02\x01\x01\x30", b"\x02\x01%c\x30" % version)
    with contextlib.nullcontext() if version == 1 else pytest.raises(UnfitTrust, match="cannot be read"):
        read_client_trust(authority.pem, pem("X509 CRL", changed))


def test_a_list_whose_issuer_cannot_be_read(authority):
    shown = x509.load_pem_x509_crl(authority.revoke().read_bytes()).public_bytes(Encoding.DER)
    text = b"\x0c" + bytes([len(authority.name)]) + authority.name.encode()
    assert shown.count(text) == 1
    with pytest.raises(UnfitTrust, match="cannot be read"):
        read_client_trust(authority.pem, pem("X509 CRL", shown.replace(text, b"\x0d" + text[1:])))


def test_an_authority_whose_key_is_of_a_kind_that_nobody_knows_signed_nothing(authority):
    curve = bytes.fromhex("06082a8648ce3d030107")
    shown = authority.certificate.public_bytes(Encoding.DER)
    odd = pem("CERTIFICATE", shown.replace(curve, curve[:-1] + b"\x06"))
    certificate, now_s = issue(authority), authority.now.timestamp()
    assert reason_of(read_client_trust(odd, None), certificate, now_s) == "certificate_authority_gone"
    assert reason_of(read_client_trust(odd + authority.pem, None), certificate, now_s) == ""


def test_an_older_list_never_takes_the_place_of_a_newer_one(authority, tmp_path):
    other = Authority(tmp_path, "other authority", authority.now)
    older = read_client_trust(authority.pem, authority.revoke(days=(-2, 9)).read_bytes())
    text = authority.revoke(days=(-1, 9)).read_bytes()
    newer = read_client_trust(authority.pem, text)
    newer.require_not_older(older)
    newer.require_not_older(newer)
    newer.require_not_older(read_client_trust(authority.pem, other.revoke(days=(0, 9)).read_bytes()))
    with pytest.raises(UnfitTrust, match="older than the one in force"):
        older.require_not_older(newer)
    both = read_client_trust(authority.pem, text + authority.revoke(days=(-2, 9)).read_bytes())
    both.require_not_older(newer)
    with pytest.raises(UnfitTrust, match="older"):
        older.require_not_older(both)
    unlisted = read_client_trust(authority.pem, None)
    unlisted.require_not_older(newer)
    newer.require_not_older(unlisted)
