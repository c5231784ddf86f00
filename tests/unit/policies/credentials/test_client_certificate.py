"""What is read from a client certificate, and which must not identify anybody."""

import contextlib
import hashlib
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials.client_certificate import MAX_NAMES, UnfitCertificate, read_client_certificate
from tests.authority import DAY, SERVER, Authority, der


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return der(Authority(tmp_path_factory.mktemp("authority")).issue("app")[0])


def test_names_come_from_the_alternative_names_only(authority):
    names = [
        x509.DNSName("App.Example"),
        x509.UniformResourceIdentifier("spiffe://Example/App"),
        x509.RFC822Name("app@example"),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
    ]
    shown = der(authority.issue("common-name", names=names)[0])
    certificate = read_client_certificate(shown)
    assert certificate.names == ("dns:app.example", "uri:spiffe://Example/App", "email:app@example")
    assert certificate.sha256 == hashlib.sha256(shown).hexdigest()
    assert len(certificate.x5t_s256) == 43
    assert certificate.not_after_s == (authority.now.timestamp() + 10 * 86400)
    assert certificate.der == shown
    assert read_client_certificate(der(authority.issue("bare", names=None)[0])).names == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"usage": None}, "certificate_without_usage"),
        ({"usage": SERVER}, "certificate_not_for_clients"),
        ({"names": [x509.DNSName(f"a{n}") for n in range(MAX_NAMES + 1)]}, "certificate_names_too_many"),
    ],
)
def test_what_may_not_identify_a_client(authority, values, reason):
    with pytest.raises(UnfitCertificate, match=reason):
        read_client_certificate(der(authority.issue("unfit", **values)[0]))


@pytest.mark.parametrize(
    "put", [b"\xe2\x84\xaaXX", b"X\xc5\xbfXX", b"XX\x00XX", b"XX\nXX"], ids=["kelvin", "long s", "nul", "line"]
)
def test_a_name_that_is_not_printable_ascii(authority, put):
    """The lower case of the Kelvin sign is `k`; OpenSSL looks at none of the bytes."""
    shown = der(authority.issue("odd", names=[x509.DNSName("XXXXX.test")])[0])
    with pytest.raises(UnfitCertificate, match="certificate_malformed"):
        read_client_certificate(shown.replace(b"XXXXX", put))


def test_a_name_of_a_kind_that_nobody_reads(authority):
    """An X.400 address, which OpenSSL passes over."""
    odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("3002a300"))
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        authority.subject, authority.subject, key.public_key(), 1, authority.now, authority.now + DAY
    ).add_extension(odd, critical=False)
    shown = builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(UnfitCertificate, match="certificate_malformed"):
        read_client_certificate(shown)


@pytest.mark.parametrize("warned", ["error", "ignore"])
def test_a_serial_number_that_is_not_positive_is_malformed(signed, warned):
    with warnings.catch_warnings():
        warnings.simplefilter(warned)
        with pytest.raises(UnfitCertificate, match="certificate_malformed"):
            read_client_certificate(signed[:15] + b"\x80" + signed[16:])


@given(cut=st.integers(0, 600), put=st.binary(max_size=4))
def test_whatever_is_shown_is_read_or_refused(signed, cut, put):
    with contextlib.suppress(UnfitCertificate):
        certificate = read_client_certificate(signed[:cut] + put + signed[cut + len(put) :])
        assert len(certificate.sha256) == 64


def test_no_certificate_at_all():
    with pytest.raises(UnfitCertificate, match="certificate_malformed"):
        read_client_certificate(b"hello")
