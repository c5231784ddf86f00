"""The local authority: real handshakes succeed for this host's names under strict rules, and for nothing else."""

import contextlib
import itertools
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.homes.local_ca import issue_server_tls

NOW = datetime.now(UTC)
TLS = issue_server_tls(("Gate.Example.com", "192.0.2.7"), NOW)
CA = x509.load_pem_x509_certificate(TLS.ca_pem)
SERVER = x509.load_pem_x509_certificate(TLS.certificate_pem)


def shake_hands(folder, server_name: str, tls=TLS, ca_pem: bytes = TLS.ca_pem) -> str:
    """The TLS version that a strict client and a server with `tls` agree on, over a real loopback socket."""
    for name, content in (("server.pem", tls.certificate_pem), ("server.key", tls.key_pem), ("ca.pem", ca_pem)):
        (folder / name).write_bytes(content)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem", folder / "server.key")
    trusting = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT

    def accept() -> None:
        connection, _ = listener.accept()
        with (
            connection,
            contextlib.suppress(ssl.SSLError, OSError),
            serving.wrap_socket(connection, server_side=True) as stream,
        ):
            stream.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=60) as connection,
                trusting.wrap_socket(connection, server_hostname=server_name) as stream,
            ):
                return stream.version() or ""
        finally:
            thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "gate.example.com", "192.0.2.7"])
def test_a_strict_client_accepts_every_name_of_the_server(tmp_path, name):
    assert shake_hands(tmp_path, name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["example.com", "evil.example.com", "127.0.0.2", "192.0.2.8"])
def test_no_other_name_is_accepted(tmp_path, name):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, name)


def test_another_homes_authority_does_not_vouch(tmp_path):
    other = issue_server_tls((), NOW)
    assert x509.load_pem_x509_certificate(other.ca_pem).subject != CA.subject
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, "localhost", ca_pem=other.ca_pem)


def resign(names: list[x509.GeneralName]) -> tuple[bytes, bytes, bytes]:
    """What a thief of the authority's key could make: the same authority's form, a certificate for `names`."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.CertificateBuilder(
        issuer_name=CA.subject,
        subject_name=CA.subject,
        public_key=ca_key.public_key(),
        serial_number=CA.serial_number,
        not_valid_before=CA.not_valid_before_utc,
        not_valid_after=CA.not_valid_after_utc,
    )
    leaf = x509.CertificateBuilder(
        issuer_name=CA.subject,
        subject_name=SERVER.subject,
        public_key=key.public_key(),
        serial_number=SERVER.serial_number,
        not_valid_before=SERVER.not_valid_before_utc,
        not_valid_after=SERVER.not_valid_after_utc,
    ).add_extension(x509.SubjectAlternativeName(names), critical=False)
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    for extension in CA.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier):
            authority = authority.add_extension(extension.value, extension.critical)
    authority = authority.add_extension(ca_id, critical=False)
    for extension in SERVER.extensions:
        if isinstance(extension.value, x509.BasicConstraints | x509.KeyUsage | x509.ExtendedKeyUsage):
            leaf = leaf.add_extension(extension.value, extension.critical)
    leaf = leaf.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), critical=False
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    pem = serialization.Encoding.PEM
    return (
        authority.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@pytest.mark.parametrize(("name", "accepted"), [("localhost", True), ("gate.example.com", True), ("bank.com", False)])
def test_even_the_authoritys_own_key_could_not_vouch_for_a_foreign_name(tmp_path, name, accepted):
    ca_pem, certificate_pem, key_pem = resign([x509.DNSName(name)])
    stolen = type(TLS)(ca_pem, certificate_pem, key_pem)
    if accepted:
        assert shake_hands(tmp_path, name, stolen, ca_pem)
        return
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(tmp_path, name, stolen, ca_pem)


def extension(certificate, kind):
    found = certificate.extensions.get_extension_for_class(kind)
    return found.critical, found.value


def test_the_authority_is_constrained():
    assert extension(CA, x509.BasicConstraints) == (True, x509.BasicConstraints(ca=True, path_length=0))
    critical, constraints = extension(CA, x509.NameConstraints)
    assert critical
    assert [subtree.value for subtree in constraints.permitted_subtrees] == [
        "localhost",
        ip_network("127.0.0.1/32"),
        ip_network("::1/128"),
        "gate.example.com",
        ip_network("192.0.2.7/32"),
    ]
    critical, usage = extension(CA, x509.KeyUsage)
    assert critical
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_the_server_certificate_is_for_servers_only():
    assert extension(SERVER, x509.BasicConstraints) == (True, x509.BasicConstraints(ca=False, path_length=None))
    assert list(extension(SERVER, x509.ExtendedKeyUsage)[1]) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(SERVER, x509.KeyUsage)[1].digital_signature
    assert not extension(SERVER, x509.KeyUsage)[1].key_cert_sign
    ca_id = extension(CA, x509.SubjectKeyIdentifier)[1].digest
    assert extension(SERVER, x509.AuthorityKeyIdentifier)[1].key_identifier == ca_id


@pytest.mark.parametrize(("certificate", "days"), [(CA, 397), (SERVER, 90)])
def test_the_lifetime_is_what_strict_clients_and_guidelines_bear(certificate, days):
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=days - 1) < lifetime < timedelta(days=days)
    assert certificate.not_valid_before_utc < NOW


def test_the_later_certificates_follow_each_other_to_the_authoritys_end():
    row = [SERVER, *x509.load_pem_x509_certificates(TLS.later_pem)]
    assert len(row) == 7
    for before, after in itertools.pairwise(row):
        assert after.public_key() == SERVER.public_key()
        assert list(after.extensions) == list(SERVER.extensions)
        assert before.not_valid_after_utc - after.not_valid_before_utc > timedelta(days=38)
        after.verify_directly_issued_by(CA)
    assert row[-1].not_valid_after_utc <= CA.not_valid_after_utc
    assert CA.not_valid_after_utc - row[-1].not_valid_after_utc < timedelta(days=2)


def test_the_authoritys_key_is_in_no_output_and_no_repr_shows_the_servers():
    key = serialization.load_pem_private_key(TLS.key_pem, None)
    assert key.public_key() == SERVER.public_key() != CA.public_key()
    assert TLS.ca_pem.count(b"BEGIN") == TLS.certificate_pem.count(b"BEGIN") == TLS.key_pem.count(b"BEGIN") == 1
    assert "PRIVATE" not in repr(TLS)


@pytest.mark.parametrize("name", ["under_score", "-x", "a..b", "*.example.com", "x" * 64, "a b", "http://x", ""])
def test_names_that_no_certificate_can_carry(name):
    with pytest.raises(ValueError, match="neither an IP address nor a host name"):
        issue_server_tls((name,), NOW)
