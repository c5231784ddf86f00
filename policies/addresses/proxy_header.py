"""Reads version 2 of the PROXY protocol (HAProxy's proxy-protocol.txt, section 2.2): who connects, in front of TLS.

Decides what the bytes say; who may send them, and by when, is the listener's business. Rules:

 1. The header is 16 bytes that begin with a signature no TLS or HTTP client sends, then as many bytes as
    they say: at most `MAX_HEADER_BYTES` in all. Nothing behind it is read here, it belongs to TLS.
 2. Version 2 only. Version 1 is a line of text that a client could have begun itself, and is refused.
 3. LOCAL is the proxy speaking for itself (a health check): there is no other client, whatever follows.
 4. PROXY names a TCP client over IPv4 or IPv6. UDP, Unix sockets and "unspecified" are no client that a
    list could be asked about, and are refused.
 5. What follows the addresses must be whole type-length-value fields. They are skipped, all but CRC32c, which
    is checked where it stands (section 2.2.2).
"""

from ipaddress import ip_address

from policies.addresses.networks import Address, read_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
START_BYTES = 16
MAX_HEADER_BYTES = 536
"""What the specification (section 2.2) has every sender keep to, the smallest IPv4 segment."""

_LOCAL, _PROXY = 0x20, 0x21
# Address family and transport, then the bytes of one address and of both with their ports.
_FAMILIES = {0x11: (4, 12), 0x21: (16, 36)}
_CRC32C_TYPE = 0x03


class ProxyHeaderFault(Exception):
    """The bytes are no header that names a client. `reason` is a stable code, nothing of the bytes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_rest_bytes(start: bytes) -> int:
    """How many bytes follow the first `START_BYTES`. Raises ProxyHeaderFault."""
    if len(start) != START_BYTES or not start.startswith(SIGNATURE):
        raise ProxyHeaderFault("proxy_header_signature")
    if start[12] not in (_LOCAL, _PROXY):
        raise ProxyHeaderFault("proxy_header_command")
    rest_bytes = int.from_bytes(start[14:16], "big")
    if START_BYTES + rest_bytes > MAX_HEADER_BYTES:
        raise ProxyHeaderFault("proxy_header_too_long")
    return rest_bytes


def read_source(header: bytes) -> Address | None:
    """The client that a whole header names; None when the proxy speaks for itself. Raises ProxyHeaderFault."""
    if len(header) != START_BYTES + read_rest_bytes(header[:START_BYTES]):
        raise ProxyHeaderFault("proxy_header_length")
    if header[12] == _LOCAL:
        return None
    if header[13] not in _FAMILIES:
        raise ProxyHeaderFault("proxy_header_family")
    address_bytes, addresses_bytes = _FAMILIES[header[13]]
    if len(header) < START_BYTES + addresses_bytes:
        raise ProxyHeaderFault("proxy_header_length")
    _check_fields(header, START_BYTES + addresses_bytes)
    return read_address(str(ip_address(header[START_BYTES : START_BYTES + address_bytes])))


def _check_fields(header: bytes, place: int) -> None:
    """Walk the type-length-value fields from `place` to the end."""
    while place < len(header):
        value = place + 3
        end = value + int.from_bytes(header[place + 1 : value], "big")
        if value > len(header) or end > len(header):
            raise ProxyHeaderFault("proxy_header_field")
        if header[place] == _CRC32C_TYPE:
            _check_sum(header, value, end)
        place = end


def _check_sum(header: bytes, value: int, end: int) -> None:
    """CRC32c over the whole header, its own four bytes as zeros."""
    zeroed = header[:value] + bytes(end - value) + header[end:]
    if end - value != 4 or crc32c(zeroed) != int.from_bytes(header[value:end], "big"):
        raise ProxyHeaderFault("proxy_header_checksum")


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum (RFC 3720 appendix B.4), bit by bit: headers are short and rarely carry it."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF
