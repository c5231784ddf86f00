"""How many connections each client address holds, so that one address cannot fill a listener."""

from collections.abc import Callable

from policies.addresses.networks import Address

V6_NETWORK_BITS = 64
"""What one subscriber is given at least (RFC 6177): within it, a new address costs nothing."""


class AddressCounts:
    """At most `limit` connections at a time for each IPv4 address and each IPv6 /64."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[tuple[int, int], int] = {}

    def enter(self, address: Address) -> Callable[[], None] | None:
        """Count one more connection; None when there are enough. What is returned counts it off, but once."""
        key = _key(address)
        count = self._counts.get(key, 0)
        if count >= self._limit:
            return None
        self._counts[key] = count + 1
        entered = [key]

        def leave() -> None:
            while entered:
                self._leave(entered.pop())

        return leave

    def addresses(self) -> int:
        """How many addresses hold a connection."""
        return len(self._counts)

    def _leave(self, key: tuple[int, int]) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


def _key(address: Address) -> tuple[int, int]:
    return address.version, int(address) if address.version == 4 else int(address) >> V6_NETWORK_BITS
