"""Which addresses may call: lists of networks in CIDR notation, IPv4 and IPv6.

Rules: deny wins over allow; an address outside every allowed network is refused; an empty allow list
allows nobody, an absent one (None) leaves the decision to the lists around it. A v4-mapped v6 address
counts as its v4 address, so a list cannot be dodged by spelling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar

from policies.errors import AddressNotAllowed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def read_address(text: str) -> Address:
    """The address in `text`, v4-mapped v6 folded to v4. Raises ValueError, also for a zone id."""
    if "%" in text:
        raise ValueError(f"address {text!r} carries a zone id")
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_network(text: str) -> Network:
    """The network in `text`. Raises ValueError naming what is wrong, host bits included."""
    try:
        return ip_network(text, strict=True)
    except ValueError as fault:
        raise ValueError(f"network {text!r} is not a CIDR such as 10.0.0.0/8: {fault}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Where requests may come from, as networks in CIDR notation. See the rules at the head of the module.

    `allow` names the only networks let in; None does not ask here. `deny` names networks kept out, also of `allow`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    _allowed: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())
    _denied: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", tuple(map(read_network, self.allow or ())))
        object.__setattr__(self, "_denied", tuple(map(read_network, self.deny)))

    def allows(self, address: Address) -> bool:
        """Whether `address` passes this list."""
        if is_within(address, self._denied):
            return False
        return self.allow is None or is_within(address, self._allowed)

    def require(self, address: Address, reason: str) -> None:
        """Raises AddressNotAllowed with the private `reason` when `address` does not pass."""
        if not self.allows(address):
            raise AddressNotAllowed(reason)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of `networks` holds `address`."""
    return any(network.version == address.version and address in network for network in networks)
