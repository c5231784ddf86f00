"""Finds the longest prefix that holds an address, among thousands, in one search.

Theory of operation. Networks in CIDR notation never overlap in part: of two, one holds the other or they
are apart. So n of them cut the line of all addresses into at most 2n + 1 stretches, and all addresses of
one stretch have the same longest prefix. The table holds where each stretch begins and whose it is; a
look-up is one binary search, whatever the prefix lengths. Built once, then never changed.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class NetworkTable:
    """A set of networks, IPv4 and IPv6, that is asked for the narrowest one around an address."""

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = set(networks)
        self._v4 = _Line(each for each in given if each.version == 4)
        self._v6 = _Line(each for each in given if each.version == 6)

    def find(self, address: Address) -> Network | None:
        """The network with the longest prefix that holds `address`; None when none does."""
        line = self._v4 if address.version == 4 else self._v6
        return line.owners[bisect_right(line.starts, int(address)) - 1]

    def __contains__(self, address: Address) -> bool:
        return self.find(address) is not None


class _Line:
    """All addresses of one version: `starts` of the stretches, the first at 0, and the `owners` of each."""

    __slots__ = ("owners", "starts")

    def __init__(self, networks: Iterable[Network]) -> None:
        self.starts: list[int] = [0]
        self.owners: list[Network | None] = [None]
        around: list[Network] = []  # the networks that hold the current place, widest first
        for network in sorted(networks, key=_first_then_wide):
            self._leave(around, int(network.network_address))
            self._begin(int(network.network_address), network)
            around.append(network)
        self._leave(around, None)

    def _leave(self, around: list[Network], place: int | None) -> None:
        """End the networks of `around` that end before `place` (None: all): what holds them goes on."""
        while around and (place is None or int(around[-1].broadcast_address) < place):
            end = int(around.pop().broadcast_address)
            self._begin(end + 1, around[-1] if around else None)

    def _begin(self, place: int, owner: Network | None) -> None:
        if self.starts[-1] == place:  # a stretch of no length: something narrower begins, or wider ends, here
            self.owners[-1] = owner
        else:
            self.starts.append(place)
            self.owners.append(owner)


def _first_then_wide(network: Network) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen
