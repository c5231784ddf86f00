"""A certificate authority for one server, made and forgotten in one call.

The authority signs a row of certificates for one key, each valid later than the one before it
(`certificate_series` puts them in place), and its own key is dropped unwritten, so nobody, we included,
can ever sign another with it. Should its certificate be trusted too widely (a whole browser, a whole
host), its critical name constraints still confine it to this host's names and loopback. When the
server certificate ends, a new authority is made and handed to the clients.

Both certificates follow RFC 5280 as OpenSSL's X509_STRICT reads it: key usage, subject and authority
key identifiers, constraints critical.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.homes.host_names import read_host_name

LIFETIME = timedelta(days=397) - timedelta(seconds=1)
"""The authority's. The bound of the CA/Browser Forum since 2020, both ends counted; clients exist that refuse more."""

SERVER_LIFETIME = timedelta(days=90) - timedelta(seconds=1)
"""What Mozilla's guidelines bear at the most in their modern profile, both ends counted."""

SERVER_EVERY = timedelta(days=51)
"""Seven certificates reach to the authority's end, each with 39 days in common with the next: the warning at 30 days
before an end is only heard when none follows."""

BACKDATE = timedelta(hours=1)
"""A client whose clock is a little behind still accepts the certificate."""

ALWAYS = ("localhost", "127.0.0.1", "::1")

Name = str | IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM texts: what clients trust, what the server shows first and what later, and the server's secret."""

    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    later_pem: bytes = b""


def issue_server_tls(names: tuple[str, ...], now: datetime) -> ServerTls:
    """A fresh authority, and the certificates and key of a server called `names`, localhost and loopback.

    `names` are host names or IP addresses; `now` is aware. Raises ValueError for a name that is neither.
    """
    unique = tuple(dict.fromkeys(map(_read_name, (*ALWAYS, *names))))
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _sign_authority(unique, ca_key, now)
    times = [now + number * SERVER_EVERY for number in range((LIFETIME - SERVER_LIFETIME) // SERVER_EVERY + 1)]
    first, *later = (
        _sign_server(unique, server_key, authority, ca_key, start).public_bytes(Encoding.PEM) for start in times
    )
    return ServerTls(
        ca_pem=authority.public_bytes(Encoding.PEM),
        certificate_pem=first,
        later_pem=b"".join(later),
        key_pem=server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _sign_authority(names: tuple[Name, ...], key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    serial = x509.random_serial_number()
    # The serial in the name keeps the authorities of several homes apart in one trust store.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Corral local CA {serial:x}"[:64])])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _dated(x509.CertificateBuilder(serial_number=serial), now, LIFETIME)
    builder = builder.subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.NameConstraints(list(map(_subtree, names)), None), critical=True)
    builder = builder.add_extension(key_id, critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False
    )
    return builder.sign(key, hashes.SHA256())


def _sign_server(
    names: tuple[Name, ...],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    # No common name that looks like a host: names stand in the alternative names only (RFC 9525).
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Corral gateway")])
    ca_key_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = _dated(x509.CertificateBuilder(serial_number=x509.random_serial_number()), now, SERVER_LIFETIME)
    builder = builder.subject_name(subject).issuer_name(authority.subject).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_key_id), critical=False
    )
    return builder.sign(ca_key, hashes.SHA256())


def _dated(builder: x509.CertificateBuilder, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0) - BACKDATE
    return builder.not_valid_before(start).not_valid_after(start + lifetime)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read_name(text: str) -> Name:
    try:
        return ip_address(text)
    except ValueError:
        return read_host_name(text)


def _general_name(name: Name) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _subtree(name: Name) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(ip_network(name))
