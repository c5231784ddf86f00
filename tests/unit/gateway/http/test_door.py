"""What a listener answers to follows its settings and the certificate in force."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.configuration.settings import ListenSettings
from gateway.http.door import Door, certificate_hosts
from policies.errors import HostNotAllowed, OriginNotAllowed

NAMES = [
    *map(x509.DNSName, ("Gate.example", "*.wild.example", "a*b.example")),
    x509.RFC822Name("a@b.example"),
    *(x509.IPAddress(ip_address(text)) for text in ("192.0.2.7", "2001:db8::7")),
]


def leaf(folder: Path, names: list[x509.GeneralName]) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "common.example")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    )
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    path = folder / "server.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def allows(door: Door, host: str, local: str = "") -> bool:
    try:
        door.require(((b"Host", host.encode()),), local)
    except HostNotAllowed:
        return False
    return True


def test_the_names_of_a_certificate(tmp_path: Path) -> None:
    assert certificate_hosts(leaf(tmp_path, NAMES)) == (
        "Gate.example", "*.wild.example", "a*b.example", "192.0.2.7", "2001:db8::7",
    )  # fmt: skip
    assert certificate_hosts(leaf(tmp_path, [])) == ()
    (tmp_path / "server.pem").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="PEM"):
        certificate_hosts(tmp_path / "server.pem")


def test_a_name_is_allowed_while_the_certificate_has_it() -> None:
    names = ["gate.example"]
    door = Door(ListenSettings(hosts=("proxy.example", "*.more.example")), lambda: tuple(names))
    assert allows(door, "gate.example:8443")
    names[:] = ["new.example", "a*b.example"]
    assert not allows(door, "gate.example")
    for host in ("new.example", "proxy.example", "x.more.example", "localhost", "127.0.0.1", "[::1]:1"):
        assert allows(door, host), host
    for host in ("more.example", "axb.example", "192.0.2.1"):
        assert not allows(door, host), host


def test_the_address_it_was_reached_at_and_never_the_one_that_stands_for_all() -> None:
    door = Door(ListenSettings(address="0.0.0.0"), tuple)
    assert allows(door, "192.0.2.2:8443", local="192.0.2.2")
    assert not allows(door, "192.0.2.1", local="192.0.2.2")
    assert not allows(door, "0.0.0.0:8443", local="192.0.2.2")


def test_origins_are_those_of_the_settings() -> None:
    door = Door(ListenSettings(cors_origins=("https://chat.example",)), tuple)
    host = (b"Host", b"localhost")
    assert door.require((host, (b"Origin", b"https://chat.example")), "") == "https://chat.example"
    assert door.require((host,), "") == ""
    with pytest.raises(OriginNotAllowed):
        door.require((host, (b"Origin", b"https://localhost")), "")
