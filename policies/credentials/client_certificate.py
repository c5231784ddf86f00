"""What a client certificate says, read from the DER that the handshake verified. Parse only.

Rules:
- Names stand in the subject alternative name and nowhere else; the subject's common name is never read
  (RFC 9525 section 2). DNS names in lower case; a wildcard is a name like any other and matches nothing but itself.
- Names are printable ASCII (RFC 5280's IA5String), or the certificate is refused: the lower case of the Kelvin sign
  is a `k`, and nobody could revoke a name that cannot be typed.
- The extended key usage must be there and name clientAuth. OpenSSL takes a certificate without the extension as
  fit for everything, so that any certificate of the same authority, a mail server's too, could call here.

The chain, its dates and signatures, is OpenSSL's work in the handshake; whom a name stands for is
`certificate_identity`'s; whether the certificate still holds on an old connection is `client_trust`'s.
"""

import base64
import hashlib

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

MAX_NAMES = 64
"""Far above any workload's certificate; each is looked up for each request."""

MALFORMED = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""What reading a certificate raises, the last where warnings are errors; OpenSSL's handshake passes over some of it."""


class UnfitCertificate(ValueError):
    """A certificate that may not identify a client; the message is a stable code for the log."""


class ClientCertificate(Struct, frozen=True):
    """A verified client certificate.

    `sha256` is the hex digest of its DER, `x5t_s256` the same in base64url (RFC 8705), `names` its subject
    alternative names as `dns:`, `uri:` and `email:` texts, `not_after_s` its end in Unix seconds, `der` itself.
    `not_before_s` is its beginning, as near as it says to when it was issued.
    """

    sha256: str
    x5t_s256: str
    names: tuple[str, ...]
    not_after_s: float
    der: bytes = b""
    not_before_s: float | None = None


def read_client_certificate(der: bytes) -> ClientCertificate:
    """The certificate in `der`. Raises UnfitCertificate for one that must not identify a client."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
    except MALFORMED:
        raise UnfitCertificate("certificate_malformed") from None
    if certificate.serial_number <= 0:  # RFC 5280 4.1.2.2; the library will refuse it one day, and only warns now
        raise UnfitCertificate("certificate_malformed")
    _demand_client_usage(extensions)
    digest = hashlib.sha256(der).digest()
    return ClientCertificate(
        sha256=digest.hex(),
        x5t_s256=base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
        names=_names(extensions),
        not_after_s=certificate.not_valid_after_utc.timestamp(),
        der=der,
        not_before_s=certificate.not_valid_before_utc.timestamp(),
    )


def _demand_client_usage(extensions: x509.Extensions) -> None:
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise UnfitCertificate("certificate_without_usage") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        raise UnfitCertificate("certificate_not_for_clients")


def _names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    if len(names) > MAX_NAMES:
        raise UnfitCertificate("certificate_names_too_many")
    hosts = (f"dns:{name}" for name in names.get_values_for_type(x509.DNSName))
    uris = (f"uri:{name}" for name in names.get_values_for_type(x509.UniformResourceIdentifier))
    mails = (f"email:{name}" for name in names.get_values_for_type(x509.RFC822Name))
    found = (*hosts, *uris, *mails)
    if not all(name.isascii() and name.isprintable() for name in found):
        raise UnfitCertificate("certificate_malformed")
    return tuple(name.lower() if name.startswith("dns:") else name for name in found)
