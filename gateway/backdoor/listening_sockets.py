"""Reads which TCP sockets this host listens on from the kernel's own table (/proc/net/tcp, tcp6; proc(5)).

Only of this network namespace: a container sees its own. An address is eight or 32 hex digits, in words of four
bytes each in the machine's own byte order; the port is four digits in plain order; state 0A is LISTEN.
"""

import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

from msgspec import Struct

from policies.addresses.networks import Address, read_address

LISTEN = "0A"
PROC_NET = Path("/proc/net")


class Listening(Struct, frozen=True, order=True):
    """One listening socket: the address it is bound to as text (`0.0.0.0` and `::` are every one), and its port."""

    address: str
    port: int

    @property
    def beyond_loopback(self) -> bool:
        """Whether somebody on another machine may be able to connect."""
        return not read_address(self.address).is_loopback


def read_listening(folder: Path = PROC_NET) -> tuple[Listening, ...]:
    """All listening sockets. Raises OSError, or ValueError for a table that is none."""
    found = set(parse_listening((folder / "tcp").read_text("ascii")))
    six = folder / "tcp6"
    if six.exists():  # there is none where IPv6 is switched off
        found.update(parse_listening(six.read_text("ascii")))
    return tuple(sorted(found))


def parse_listening(table: str, byte_order: Literal["little", "big"] = sys.byteorder) -> list[Listening]:
    """The listening sockets in the text of one table. Raises ValueError."""
    rows = [line.split() for line in table.splitlines()[1:]]
    places = [row[1] for row in rows if len(row) > 3 and row[3] == LISTEN]
    return [_read_place(place, byte_order) for place in places]


def _read_place(place: str, byte_order: Literal["little", "big"]) -> Listening:
    address, port = place.split(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = b"".join(word.to_bytes(4, byte_order) for word in words)
    found: Address = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return Listening(str(read_address(str(found))), int(port, 16))
