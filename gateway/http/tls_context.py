"""The server's TLS: Mozilla guidelines 6.0 "intermediate", with the key on P-256.

TLS 1.2 with six forward-secret AEAD suites, and 1.3. No compression (CRIME), no renegotiation, ALPN
http/1.1 only: whoever asks for h2 gets HTTP/1.1 or nothing. A fault in the files is one line that
names the file and what to do.
"""

import ssl
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509

from gateway.incoming import TlsFacts

_TLS12_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)

log = structlog.get_logger(__name__)


class TlsFault(Exception):
    """The certificate or its key cannot be used; the message names the file and the remedy."""


class _ServerSslObject(ssl.SSLObject):
    """A handshake that remembers the name the client asked for (SNI), which `ssl` does not keep."""

    server_name = ""


def server_context(certificate: Path, key: Path, *, now: datetime, groups_configured: bool = False) -> ssl.SSLContext:
    """The context for connections accepted from now on. Raises TlsFault.

    `certificate` is a PEM chain, leaf first. `groups_configured` says that OPENSSL_CONF names the key
    exchange groups; else P-256 alone is offered, because Python cannot set a list and OpenSSL's own
    holds X448 and P-521. `now`, with its zone, only serves a warning about the certificate's dates.
    """
    for path, what in ((certificate, "certificate"), (key, "key")):
        _demand_readable(path, what)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if not groups_configured:
        context.set_ecdh_curve("prime256v1")
    context.sslobject_class = _ServerSslObject
    context.sni_callback = _remember_name
    _load_pair(context, certificate, key)
    if warning := date_warning(certificate.read_bytes(), now):
        log.warning("certificate_dates", file=str(certificate), warning=warning)
    return context


def tls_facts(handshake: object) -> TlsFacts | None:
    """What a finished handshake settled; None for a connection without TLS."""
    if not isinstance(handshake, ssl.SSLObject):
        return None
    cipher = handshake.cipher()
    return TlsFacts(
        version=handshake.version() or "",
        cipher=cipher[0] if cipher else "",
        server_name=getattr(handshake, "server_name", ""),
        client_certificate=None,
    )


def date_warning(chain: bytes, now: datetime) -> str | None:
    """A sentence when the leaf of the PEM `chain` is not valid at `now`. Raises ValueError for no PEM."""
    leaf = x509.load_pem_x509_certificate(chain)
    if now > leaf.not_valid_after_utc:
        return f"expired at {leaf.not_valid_after_utc.isoformat()}: clients will refuse it, replace it"
    if now < leaf.not_valid_before_utc:
        return f"not valid before {leaf.not_valid_before_utc.isoformat()}: is this machine's clock right?"
    return None


def _demand_readable(path: Path, what: str) -> None:
    remedy = f"run 'corral init', or correct tls.{what} in config.yaml"
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise TlsFault(f"TLS {what} {path} is missing: {remedy}") from None
    except PermissionError:
        raise TlsFault(f"TLS {what} {path} is not readable for this user: give it read access") from None
    except OSError as fault:
        raise TlsFault(f"TLS {what} {path} cannot be read ({fault.strerror}): {remedy}") from None


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # The empty password makes an encrypted key an error; without it OpenSSL asks on the terminal and waits.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as fault:
        if fault.reason == "KEY_VALUES_MISMATCH":
            raise TlsFault(
                f"TLS key {key} does not belong to certificate {certificate}: put the pair in place"
            ) from None
        raise TlsFault(
            f"TLS certificate {certificate} or key {key} is not usable PEM (a key must not be encrypted): replace it"
        ) from None


def _remember_name(handshake: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(handshake, _ServerSslObject):
        handshake.server_name = name or ""
