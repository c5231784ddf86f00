"""The server's TLS: a profile of Mozilla's guidelines 6.0, and what is asked of clients.

`intermediate` is TLS 1.2 with six forward-secret AEAD suites, and 1.3; `modern` is 1.3 alone. No compression
(CRIME), no renegotiation, ALPN http/1.1 only: whoever asks for h2 gets HTTP/1.1 or nothing. A fault in the
files is one line that names the file and what to do.

Clients' certificates: our own bundle alone is trusted, each authority in it by itself (so a company can name the one
that signs workloads and not its root). With revocation lists OpenSSL refuses who is on one, whose authority has
none, and everybody of a list that is overdue. A handshake whose certificate we must not use (no clientAuth) is
found out by `tls_facts`, since OpenSSL takes a certificate without extended key usage for fit.
"""

import ssl
import stat
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509
from msgspec import Struct

from gateway.configuration.settings import TlsProfile
from gateway.http.tls_groups import takes_only_ours
from gateway.incoming import TlsFacts
from policies.credentials.client_certificate import read_client_certificate

_OLDEST = {"intermediate": ssl.TLSVersion.TLSv1_2, "modern": ssl.TLSVersion.TLSv1_3}
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


class ClientDemand(Struct, frozen=True, kw_only=True):
    """Clients are asked for a certificate: the authorities in DER, the file of their lists, and whether they must."""

    authorities: bytes
    lists: Path | None = None
    required: bool = False


def server_context(
    certificate: Path,
    key: Path,
    *,
    now: datetime,
    profile: TlsProfile = "intermediate",
    groups_configured: bool = False,
    clients: ClientDemand | None = None,
) -> ssl.SSLContext:
    """The context for connections accepted from now on. Raises TlsFault.

    `certificate` is a PEM chain, leaf first. `groups_configured` says that OPENSSL_CONF names the key exchange
    groups, which is proven here; else P-256 alone is offered. `now`, with its zone, only serves a warning about
    the certificate's dates. `clients` None asks nobody for a certificate.
    """
    for path, what in ((certificate, "certificate"), (key, "key")):
        demand_readable(path, what)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _OLDEST[profile]
    context.set_ciphers(_TLS12_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _ServerSslObject
    context.sni_callback = _remember_name
    _load_pair(context, certificate, key)
    _restrict_groups(context, groups_configured)
    if clients is not None:
        _ask_clients(context, clients)
    if warning := date_warning(certificate.read_bytes(), now):
        log.warning("certificate_dates", file=str(certificate), warning=warning)
    return context


def _restrict_groups(context: ssl.SSLContext, groups_configured: bool) -> None:
    if not groups_configured:
        context.set_ecdh_curve("prime256v1")
    elif not takes_only_ours(context):
        raise TlsFault(
            "the key exchange groups of TLS could not be restricted: OPENSSL_CONF came too late or OpenSSL cannot use "
            "the file; install Corral anew, or set tls.host_openssl_config: true for P-256 alone"
        )


def _ask_clients(context: ssl.SSLContext, clients: ClientDemand) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A resumed session brings its client's certificate along without a look at dates and lists. Tickets are sealed
    # with a key of this context, so none outlives a reload, but within its life they would outlive a revocation.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    try:
        context.load_verify_locations(cadata=clients.authorities)
        if clients.lists is not None:
            context.load_verify_locations(cafile=clients.lists)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (ssl.SSLError, ValueError):
        raise TlsFault("tls.client_ca or tls.client_crl is not usable PEM: replace it") from None


def tls_facts(handshake: object) -> TlsFacts | None:
    """What a finished handshake settled; None for a connection without TLS.

    Raises UnfitCertificate for a client certificate that must not be used: the connection has to be closed.
    """
    if not isinstance(handshake, ssl.SSLObject):
        return None
    cipher = handshake.cipher()
    shown = handshake.getpeercert(binary_form=True)
    return TlsFacts(
        version=handshake.version() or "",
        cipher=cipher[0] if cipher else "",
        server_name=getattr(handshake, "server_name", ""),
        client_certificate=read_client_certificate(shown) if shown else None,
    )


def certificate_fault(fault: OSError) -> str:
    """What a failed handshake says of the client's certificate (OpenSSL's words); empty for any other failure."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return fault.verify_message
    reason = fault.reason if isinstance(fault, ssl.SSLError) else None
    return "none was shown" if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else ""


def date_warning(chain: bytes, now: datetime) -> str | None:
    """A sentence when the leaf of the PEM `chain` is not valid at `now`. Raises ValueError for no PEM."""
    leaf = x509.load_pem_x509_certificate(chain)
    if now > leaf.not_valid_after_utc:
        return f"expired at {leaf.not_valid_after_utc.isoformat()}: clients will refuse it, replace it"
    if now < leaf.not_valid_before_utc:
        return f"not valid before {leaf.not_valid_before_utc.isoformat()}: is this machine's clock right?"
    return None


def demand_readable(path: Path, what: str) -> None:
    """Raises TlsFault unless the file is there and this user may read it; `what` is its name under `tls`."""
    remedy = f"run 'corral init', or correct tls.{what} in config.yaml"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for who writes into it
            raise TlsFault(f"TLS {what} {path} cannot be read (not a file): {remedy}")
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
