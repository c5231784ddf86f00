"""Step 1: which address is the client's, when proxies may stand in between.

Decides the address only; whether it may call is step 2 (`policies.networks`).

Rules, in order:
 1. The peer is the socket's other end. One that cannot be read, or carries a zone id, is refused.
 2. A peer outside `trusted_proxies` (by default nobody is inside) is itself the client. What it says
    of others is not looked at: X-Forwarded-For is a claim anybody can make.
 3. A trusted peer without X-Forwarded-For is itself the client.
 4. Else all lines are one list, walked from right to left, because each proxy appends: trusted hops
    are passed over, the first other one is the client. What stands further left is the client's own
    invention and is not read.
 5. All hops trusted: the leftmost is the client.
 6. A hop on the way that is not `ip`, `ip:port` or `[v6]:port`, or a list beyond MAX_HOPS: refused.
No other forwarding header is ever read (Forwarded, X-Real-IP, X-Forwarded-Host: the oauth2-proxy
CVE-2026-40575 class).
"""

import re
from collections.abc import Iterable, Sequence

from policies.errors import AddressNotAllowed
from policies.networks import Address, Network, is_within, read_address

# Longer lists serve only to make us work; no real chain has more proxies than this.
MAX_HOPS = 20
_V4_AND_PORT = re.compile(r"([0-9.]{7,15}):([0-9]{1,5})")
_V6_AND_PORT = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]:([0-9]{1,5})")


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted_proxies: Sequence[Network]) -> Address:
    """The address that lists, limits and the log mean by "the client".

    `peer` is the socket's other end as text, `headers` the raw pairs in order. Raises AddressNotAllowed.
    """
    try:
        nearest = read_address(peer)
    except ValueError:
        raise AddressNotAllowed("peer_unreadable") from None
    if not is_within(nearest, trusted_proxies):
        return nearest
    hops = _forwarded_hops(headers)
    if len(hops) > MAX_HOPS:
        raise AddressNotAllowed("forwarded_too_long")
    for hop in reversed(hops):
        nearest = _read_hop(hop)
        if not is_within(nearest, trusted_proxies):
            break
    return nearest


def _forwarded_hops(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    lines = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
    return [hop.strip(b" \t") for hop in b",".join(lines).split(b",")] if lines else []


def _read_hop(hop: bytes) -> Address:
    try:
        text = hop.decode("ascii")
        with_port = _V4_AND_PORT.fullmatch(text) or _V6_AND_PORT.fullmatch(text)
        if with_port and not 0 < int(with_port[2]) < 65536:
            raise ValueError("port out of range")
        return read_address(with_port[1] if with_port else text)
    except ValueError:
        raise AddressNotAllowed("forwarded_unreadable") from None
