"""Step 1: which address is the client's, when proxies may stand in between.

Decides the address only; whether it may call is step 2 (`policies.addresses.networks`).

Rules, in order:
 1. The peer is the connection's other end: the socket's, or on a listener that demands it the source that
    a trusted proxy announced in a PROXY header (gateway/http/listener.py). One that cannot be read, or
    carries a zone id, is refused.
 2. A peer outside `trusted_proxies` (by default nobody is inside) is itself the client. What it says
    of others is not looked at: X-Forwarded-For is a claim anybody can make.
 3. Of a trusted peer the one header family is read that the policy names; without it, the peer is the client.
    With `proxy-v2` no header is read at all.
 4. All lines of it are one list, walked from right to left, because each proxy appends: trusted hops
    are passed over, the first other one is the client. What stands further left is the client's own
    invention and is not asked about.
 5. All hops trusted: the leftmost is the client.
 6. A hop on the way that is no address (X-Forwarded-For: `ip`, `ip:port` or `[v6]:port`; Forwarded: see
    `policies.addresses.forwarded_header`), or a list beyond MAX_HOPS: refused.
No other header is ever read (X-Real-IP, X-Forwarded-Host, -Proto, -Uri: the oauth2-proxy CVE-2026-40575
class; X_Forwarded_For: CVE-2025-64484), and a header named in `Connection` is read as if it were not named.
"""

import re
from collections.abc import Callable, Iterable

from policies.addresses.forwarded_header import read_forwarded, read_node
from policies.addresses.networks import Address, read_address
from policies.addresses.trusted_proxies import TrustedProxies
from policies.errors import AddressNotAllowed

# Longer lists serve only to make us work; no real chain has more proxies than this.
MAX_HOPS = 20
_V4_AND_PORT = re.compile(r"([0-9.]{7,15}):([0-9]{1,5})")
_V6_AND_PORT = re.compile(r"\[([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,44})\]:([0-9]{1,5})")

Headers = Iterable[tuple[bytes, bytes]]


def client_address(peer: str, headers: Headers, proxies: TrustedProxies) -> Address:
    """The address that lists, limits and the log mean by "the client".

    `peer` is the connection's other end as text, `headers` the raw pairs in order. Raises AddressNotAllowed.
    """
    try:
        nearest = read_address(peer)
    except ValueError:
        raise AddressNotAllowed("peer_unreadable") from None
    if not proxies.trusts(nearest) or proxies.header == "proxy-v2":
        return nearest
    lines = [value for name, value in headers if name.lower() == proxies.header.encode()]
    if not lines:
        return nearest
    try:
        return _walk([line.decode("latin-1") for line in lines], nearest, proxies)
    except ValueError:
        raise AddressNotAllowed("forwarded_unreadable") from None


def _walk(lines: list[str], nearest: Address, proxies: TrustedProxies) -> Address:
    """From right to left over the hops in `lines` to the first that is not trusted. Raises ValueError."""
    read_hops, read_hop = _READERS[proxies.header]
    hops = [hop for line in lines for hop in read_hops(line)]
    if len(hops) > MAX_HOPS:
        raise AddressNotAllowed("forwarded_too_long")
    for hop in reversed(hops):
        nearest = read_hop(hop)
        if not proxies.trusts(nearest):
            break
    return nearest


def _split_hops(text: str) -> list[str]:
    return [hop.strip(" \t") for hop in text.split(",")]


def _read_hop(hop: str) -> Address:
    with_port = _V4_AND_PORT.fullmatch(hop) or _V6_AND_PORT.fullmatch(hop)
    if with_port and not 0 < int(with_port[2]) < 65536:
        raise ValueError("port out of range")
    return read_address(with_port[1] if with_port else hop)


_READERS: dict[str, tuple[Callable[[str], list[str]], Callable[[str], Address]]] = {
    "x-forwarded-for": (_split_hops, _read_hop),
    "forwarded": (read_forwarded, read_node),
}
