"""What the server offers in a handshake, and the one line an operator reads when it cannot."""

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from gateway.http.tls_context import ClientDemand, TlsFault, date_warning, server_context, tls_facts
from gateway.incoming import TlsFacts
from policies.credentials.client_certificate import UnfitCertificate, read_client_certificate
from tests.authority import SERVER, Authority, der

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


def client_context(
    pair: tuple[Path, Path] | None = None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def test_a_handshake_and_its_facts(tmp_path):
    pair = make_pair(tmp_path)
    server = server_context(*pair, now=NOW)
    client = client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    done = shake_hands(server, client)
    assert done.selected_alpn_protocol() == "http/1.1"
    assert done.compression() is None
    assert tls_facts(done) == TlsFacts("TLSv1.3", done.cipher()[0], "gate.test")
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
    with pytest.raises(TlsFault, match="OPENSSL_CONF came too late"):  # this process has none
        server_context(*pair, now=NOW, groups_configured=True)


def test_modern_refuses_tls_12(tmp_path):
    server = server_context(*make_pair(tmp_path), now=NOW, profile="modern")
    client = client_context()
    assert shake_hands(server, client).version() == "TLSv1.3"
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)


def test_no_tls_has_no_facts():
    assert tls_facts(None) is None


def demand(authority: Authority, lists: Path | None = None, *, required: bool = True) -> ClientDemand:
    return ClientDemand(
        authorities=authority.certificate.public_bytes(serialization.Encoding.DER), lists=lists, required=required
    )


def test_client_certificates_good_and_bad(tmp_path):
    """Refused in the handshake: none, ended, another authority's, revoked; found unfit after it: usage."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    pair = authority.server()
    good, revoked = authority.issue("good"), authority.issue("revoked")
    refused = {
        "none": None,
        "ended": authority.issue("ended", days=(-3, -1)),
        "strange": stranger.issue("strange"),
        "revoked": revoked,
        "server's": authority.issue("usage", usage=SERVER),
    }
    clients = demand(authority, authority.revoke(revoked[0]))
    server = server_context(*pair, now=authority.now, clients=clients)
    assert server.num_tickets == 0
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for shown in refused.values():
            with pytest.raises(ssl.SSLError):
                shake_hands(server, client_context(shown, newest))
        facts = tls_facts(shake_hands(server, client_context(good, newest)))
        assert facts is not None
        assert facts.client_certificate == read_client_certificate(der(good[0]))
        with pytest.raises(UnfitCertificate):
            tls_facts(shake_hands(server, client_context(authority.issue("odd", usage=None), newest)))


def test_lists_that_are_overdue_or_of_nobody_let_nobody_in(tmp_path):
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair, good = authority.server(), authority.issue("good")
    for lists in (authority.revoke(days=(-3, -1)), other.revoke()):
        server = server_context(*pair, now=authority.now, clients=demand(authority, lists))
        with pytest.raises(ssl.SSLError):
            shake_hands(server, client_context(good))


def test_optional_takes_none_but_no_bad_one(tmp_path):
    authority = Authority(tmp_path)
    server = server_context(*authority.server(), now=authority.now, clients=demand(authority, required=False))
    facts = tls_facts(shake_hands(server, client_context()))
    assert facts is not None
    assert facts.client_certificate is None
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client_context(Authority(tmp_path, "stranger").issue("strange")))


def test_a_resumed_session_shows_its_certificate_again_or_there_is_none(tmp_path):
    """What TLS 1.2 keeps in memory cannot be switched off: the certificate must come along to be asked about."""
    authority = Authority(tmp_path)
    server = server_context(*authority.server(), now=authority.now, clients=demand(authority))
    good = authority.issue("good")
    for newest, resumes in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, False)):
        client = client_context(good, newest)
        first = connect(server, client)
        again = connect(server, client, first[1].session)
        assert again[0].session_reused is resumes
        facts = tls_facts(again[0])
        assert facts is not None
        assert facts.client_certificate == read_client_certificate(der(good[0]))


def connect(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a connection over which a byte went, so that tickets would have come."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = server.wrap_bio(to_server, to_client, server_side=True)
    far = client.wrap_bio(to_client, to_server, session=session)
    for _ in range(4):
        for side in (far, near):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    near.write(b"x")
    assert far.read(1) == b"x"
    return near, far


def test_a_bundle_or_list_that_is_none(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.server()
    broken = tmp_path / "broken.crl"
    broken.write_text("hello")
    for clients in (demand(authority, broken), ClientDemand(authorities=b"hello")):
        with pytest.raises(TlsFault, match="not usable PEM"):
            server_context(*pair, now=authority.now, clients=clients)


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
