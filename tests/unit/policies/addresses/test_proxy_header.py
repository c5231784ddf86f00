"""Invariant: a header is read to its last byte and no further, and names a TCP client, nobody, or is a fault."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.proxy_header import (
    MAX_HEADER_BYTES,
    SIGNATURE,
    START_BYTES,
    ProxyHeaderFault,
    crc32c,
    read_rest_bytes,
    read_source,
)

V4 = bytes([192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80])


def header(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


def field(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def summed(rest: bytes) -> bytes:
    """A TCP4 header with a right CRC32c between two other fields."""
    before, after = V4 + field(4, b"pad") + b"\x03\x00\x04", field(4, b"")
    zeroed = header(0x21, 0x11, before + bytes(4) + after + rest)
    return zeroed.replace(before + bytes(4), before + crc32c(zeroed).to_bytes(4, "big"))


def reason(data: bytes) -> str:
    with pytest.raises(ProxyHeaderFault) as fault:
        read_source(data)
    assert str(fault.value) == fault.value.reason
    return fault.value.reason


def test_a_client_over_ipv4_and_ipv6() -> None:
    assert str(read_source(header(0x21, 0x11, V4))) == "192.0.2.1"
    ports = b"\x12\x34\x01\xbb"
    six = ipaddress.IPv6Address("2001:db8::1").packed + bytes(16) + ports
    assert str(read_source(header(0x21, 0x21, six))) == "2001:db8::1"
    mapped = ipaddress.IPv6Address("::ffff:192.0.2.1").packed + bytes(16) + ports
    assert str(read_source(header(0x21, 0x21, mapped))) == "192.0.2.1"


@pytest.mark.parametrize("rest", [b"", V4, b"anything"])
def test_a_proxy_that_speaks_for_itself_names_nobody(rest: bytes) -> None:
    assert read_source(header(0x20, 0x00, rest)) is None
    assert read_source(header(0x20, 0x11, rest)) is None


def test_fields_are_skipped() -> None:
    fields = field(0x01, b"h2") + field(0x20, bytes(100)) + field(0xEA, b"vpce-1")
    assert str(read_source(header(0x21, 0x11, V4 + fields))) == "192.0.2.1"


def test_a_checksum_is_checked_where_it_stands() -> None:
    right = summed(b"")
    assert str(read_source(right)) == "192.0.2.1"
    forged = right.replace(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 9]))
    assert reason(forged) == "proxy_header_checksum"
    assert reason(header(0x21, 0x11, V4 + field(3, b"abc"))) == "proxy_header_checksum"


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720 appendix B.4: 32 bytes of zeros, of ones, and 0 to 31, least significant byte first on the wire.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "proxy_header_signature"),
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", "proxy_header_signature"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcde", "proxy_header_signature"),
        (SIGNATURE, "proxy_header_signature"),
        (header(0x11, 0x11, V4), "proxy_header_command"),
        (header(0x22, 0x11, V4), "proxy_header_command"),
        (header(0x00, 0x11, V4), "proxy_header_command"),
        (header(0x21, 0x00, b""), "proxy_header_family"),
        (header(0x21, 0x12, V4), "proxy_header_family"),
        (header(0x21, 0x22, bytes(36)), "proxy_header_family"),
        (header(0x21, 0x31, bytes(216)), "proxy_header_family"),
        (header(0x21, 0x32, bytes(216)), "proxy_header_family"),
        (header(0x21, 0x11, V4[:-1]), "proxy_header_length"),
        (header(0x21, 0x21, V4), "proxy_header_length"),
        (header(0x21, 0x11, V4) + b"\x16", "proxy_header_length"),
        (header(0x21, 0x11, V4)[:-1], "proxy_header_length"),
        (header(0x21, 0x11, V4 + b"\x04"), "proxy_header_field"),
        (header(0x21, 0x11, V4 + b"\x04\x00"), "proxy_header_field"),
        (header(0x21, 0x11, V4 + b"\x04\x00\x02x"), "proxy_header_field"),
        (header(0x20, 0x00, bytes(521)), "proxy_header_too_long"),
        (header(0x21, 0x11, V4 + bytes(65_000)), "proxy_header_too_long"),
    ],
)
def test_anything_else_is_a_fault(data: bytes, expected: str) -> None:
    assert reason(data) == expected


def test_the_longest_header_is_that_of_the_smallest_segment() -> None:
    longest = header(0x21, 0x11, V4 + field(4, bytes(MAX_HEADER_BYTES - START_BYTES - len(V4) - 3)))
    assert len(longest) == MAX_HEADER_BYTES
    assert read_rest_bytes(longest[:START_BYTES]) == MAX_HEADER_BYTES - START_BYTES
    assert str(read_source(longest)) == "192.0.2.1"


@given(st.ip_addresses(), st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=40)), max_size=5))
def test_any_client_is_read_back(address: IPv4Address | IPv6Address, fields: list[tuple[int, bytes]]) -> None:
    family, padding = (0x11, 8) if address.version == 4 else (0x21, 20)
    rest = address.packed + bytes(padding) + b"".join(field(kind, value) for kind, value in fields)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert read_source(header(0x21, family, rest)) == (mapped or address)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda rest: SIGNATURE + rest)))
def test_any_bytes_are_a_client_nobody_or_a_fault(data: bytes) -> None:
    try:
        source = read_source(data)
    except ProxyHeaderFault:
        return
    assert data.startswith(SIGNATURE)
    assert source is None or source.version in {4, 6}


@given(st.integers(0, 0xFF), st.integers(0, 0xFF), st.binary(max_size=60))
def test_any_well_framed_header_is_a_client_nobody_or_a_fault(command: int, family: int, rest: bytes) -> None:
    try:
        source = read_source(header(command, family, rest))
    except ProxyHeaderFault:
        return
    assert (command, family) in {(0x21, 0x11), (0x21, 0x21)} if source else command == 0x20
