"""A certificate authority for tests: server and client certificates, good and bad, and revocation lists."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)
NAME = x509.UniformResourceIdentifier("spiffe://test/app")


class Authority:
    """Signs what it is asked to. `now` is when it was made; dates are days from it."""

    def __init__(self, folder: Path, name: str = "test authority", now: datetime | None = None) -> None:
        self.folder, self.name = folder, name
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self.subject, self.key, -1, 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)
        self.bundle = folder / f"{name.replace(' ', '-')}.pem"
        self.bundle.write_bytes(self.pem)

    def issue(
        self,
        name: str,
        *,
        usage: ObjectIdentifier | None = CLIENT,
        names: Iterable[x509.GeneralName] | None = (NAME,),
        days: tuple[float, float] = (-1, 10),
    ) -> tuple[Path, Path]:
        """The files of a certificate and its key; `usage` and `names` None leave the extension out."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key, *days)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def server(self, name: str = "server", **values: object) -> tuple[Path, Path]:
        """A server's certificate for loopback."""
        names = (x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))
        return self.issue(name, usage=SERVER, names=names, **values)  # type: ignore[arg-type]

    def revoke(self, *revoked: Path, days: tuple[float, float] = (-1, 5)) -> Path:
        """The file of a list with the certificates in `revoked`, from and until these days."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(self.now + days[0] * DAY)
            .next_update(self.now + days[1] * DAY)
        )
        for file in revoked:
            serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        path = self.folder / f"{self.bundle.stem}.crl"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, first: float, last: float
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            self.subject,
            subject,
            key.public_key(),
            x509.random_serial_number(),
            self.now + first * DAY,
            self.now + last * DAY,
        )


def der(file: Path) -> bytes:
    """The leaf in a PEM file, as a handshake shows it."""
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
