"""What the server offers in a handshake, and the one line an operator reads when it cannot."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from gateway.http.tls_context import TlsFault, date_warning, server_context, tls_facts
from gateway.incoming import TlsFacts

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def make_pair(home: Path, name: str = "server", password: bytes | None = None) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW - timedelta(days=1), NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gate.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths = home / f"{name}.pem", home / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return paths


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "gate.test") -> ssl.SSLObject:
    """Both sides in memory; returns the server's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[1]


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_handshake_and_its_facts(tmp_path):
    pair = make_pair(tmp_path)
    server = server_context(*pair, now=NOW)
    client = client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    done = shake_hands(server, client)
    assert done.selected_alpn_protocol() == "http/1.1"
    assert done.compression() is None
    assert tls_facts(done) == TlsFacts("TLSv1.3", done.cipher()[0], "gate.test", "")
    assert tls_facts(shake_hands(server, client, None)).server_name == ""


def test_tls_12_only_with_forward_secret_aead(tmp_path):
    pair = make_pair(tmp_path)
    server = server_context(*pair, now=NOW)
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(server, client).cipher()[0].startswith("ECDHE-ECDSA-")
    client.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len([suite for suite in server.get_ciphers() if suite["protocol"] == "TLSv1.2"]) == 6
    assert server.options & ssl.OP_NO_RENEGOTIATION


def test_groups_are_p256_unless_openssl_names_them(tmp_path):
    pair = make_pair(tmp_path)
    client = client_context()
    client.set_ecdh_curve("secp521r1")
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(*pair, now=NOW), client)
    assert shake_hands(server_context(*pair, now=NOW, groups_configured=True), client).version() == "TLSv1.3"


def test_no_tls_has_no_facts():
    assert tls_facts(None) is None


def test_a_client_certificate_is_named_by_its_hash(tmp_path):
    pair, client_pair = make_pair(tmp_path), make_pair(tmp_path, "client")
    server = server_context(*pair, now=NOW)
    server.load_verify_locations(client_pair[0])
    server.verify_mode = ssl.CERT_OPTIONAL
    server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client = client_context()
    client.load_cert_chain(*client_pair)
    facts = tls_facts(shake_hands(server, client))
    assert facts is not None
    assert len(facts.client_cert_sha256) == 64


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    certificate, key = make_pair(tmp_path)
    with pytest.raises(TlsFault, match=r"TLS certificate .*gone\.pem is missing: run 'corral init'"):
        server_context(tmp_path / "gone.pem", key, now=NOW)
    with pytest.raises(TlsFault, match=r"TLS key .*gone\.key is missing: .*tls\.key in config\.yaml"):
        server_context(certificate, tmp_path / "gone.key", now=NOW)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    certificate, key = make_pair(tmp_path)
    with pytest.raises(TlsFault, match="cannot be read"):
        server_context(tmp_path, key, now=NOW)

    def deny(*_args: object) -> None:  # root reads whatever the mode says
        raise PermissionError

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(TlsFault, match="not readable for this user"):
        server_context(certificate, key, now=NOW)


def test_a_pair_that_is_none(tmp_path):
    certificate, _ = make_pair(tmp_path)
    _, other = make_pair(tmp_path, "other")
    with pytest.raises(TlsFault, match=r"other\.key does not belong to certificate .*server\.pem"):
        server_context(certificate, other, now=NOW)


def test_an_encrypted_key_is_refused_without_a_prompt(tmp_path):
    with pytest.raises(TlsFault, match="must not be encrypted"):
        server_context(*make_pair(tmp_path, password=b"secret"), now=NOW)


def test_a_file_that_is_no_pem(tmp_path):
    certificate, key = make_pair(tmp_path)
    certificate.write_text("hello")
    with pytest.raises(TlsFault, match="not usable PEM"):
        server_context(certificate, key, now=NOW)


@pytest.mark.parametrize(
    ("days", "told"), [(0, None), (2, "expired at 2026-11-23"), (-2, "not valid before 2026-11-21")]
)
def test_dates_only_warn(tmp_path, days, told):
    pair = make_pair(tmp_path)
    now = NOW + timedelta(days=days)
    with capture_logs() as logs:
        assert server_context(*pair, now=now)
    warning = date_warning(pair[0].read_bytes(), now)
    assert [entry["warning"] for entry in logs] == ([warning] if told else [])
    assert told is None or (warning or "").startswith(told)
