"""Whose word about the client's address is taken, and in which form it is given.

Rules:
 1. Nobody is trusted by default. Who is trusted can write any address it likes: it passes every list.
 2. A trusted network wider than `WIDEST_PREFIX` is refused unless the policy says `unsafe_trust_all_proxies`:
    oauth2-proxy's default of 0.0.0.0/0 (issue 3506) let everybody write the address he was judged by.
 3. One header family only. What comes in another one is not looked at, so that a proxy that sets one header
    and passes the others on cannot be used to forge.
"""

from collections.abc import Iterable
from typing import Literal

from policies.addresses.network_table import Address, Network, NetworkTable
from policies.addresses.networks import read_network

ForwardedHeader = Literal["x-forwarded-for", "forwarded", "proxy-v2"]
WIDEST_PREFIX = {4: 8, 6: 7}
"""10.0.0.0/8 and fc00::/7, the widest networks that one organisation can own."""


class TrustedProxies:
    """The networks whose word is taken, and the one `header` family it is read from."""

    __slots__ = ("_table", "header")

    def __init__(
        self,
        networks: Iterable[str] = (),
        header: ForwardedHeader = "x-forwarded-for",
        *,
        unsafe_trust_all: bool = False,
    ) -> None:
        """Raises ValueError for a text that is no network, or one that is too wide."""
        self.header = header
        self._table = NetworkTable(read_proxy(text, unsafe_trust_all=unsafe_trust_all) for text in networks)

    def trusts(self, address: Address) -> bool:
        """Whether what `address` says of the client is believed."""
        return address in self._table

    def may_announce(self, address: Address) -> bool:
        """Whether `address` may name the client in a PROXY header before the connection's first byte."""
        return self.header == "proxy-v2" and self.trusts(address)


def read_proxy(text: str, *, unsafe_trust_all: bool) -> Network:
    """One trusted network. Raises ValueError with a sentence for the operator, also by rule 2."""
    network = read_network(text)
    if network.prefixlen < WIDEST_PREFIX[network.version] and not unsafe_trust_all:
        raise ValueError(
            "would trust a part of the whole internet to say where a request comes from: name your proxies' own "
            "networks, or say unsafe_trust_all_proxies: true"
        )
    return network


NOBODY = TrustedProxies()
