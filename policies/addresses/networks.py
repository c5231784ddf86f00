"""Which addresses may call: lists of networks in CIDR notation, IPv4 and IPv6.

Rules: deny wins over allow, however wide the one and narrow the other; an address outside every allowed
network is refused; an empty allow list allows nobody, an absent one (None) leaves the decision to the lists
around it. A v4-mapped v6 address counts as its v4 address, and such a network as its v4 network, so a list cannot
be dodged by spelling. Within a list the longest prefix that holds the address is the one that is named as the rule
that decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Literal

from msgspec import Struct

from policies.addresses.network_table import Address, Network, NetworkTable
from policies.errors import AddressNotAllowed
from policies.worded import worded

__all__ = ["Address", "ListenerNetworks", "Network", "Networks", "Ruling", "read_address", "read_network", "read_table"]

EMPTY = NetworkTable()
V4_MAPPED_PREFIX = 96
"""::ffff:0:0/96 holds all of IPv4 (RFC 4291 section 2.5.5.2)."""


def read_address(text: str) -> Address:
    """The address in `text`, v4-mapped v6 folded to v4. Raises ValueError, also for a zone id."""
    if "%" in text:
        raise ValueError(f"address {text!r} carries a zone id")
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback_host(host: str) -> bool:
    """Whether `host`, a name or an address in a URL, is this machine's loopback whatever a resolver says."""
    try:
        return read_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_network(text: str) -> Network:
    """The network in `text`, one of v4-mapped v6 addresses folded to v4 as each of them is.

    Raises ValueError naming what is wrong, host bits included.
    """
    try:
        network = ip_network(text, strict=True)
    except ValueError as fault:
        line = f"network {text!r} is not a CIDR such as 10.0.0.0/8: {fault}"
        raise ValueError(worded(line, "network_unfit", given=text)) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= V4_MAPPED_PREFIX:
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((mapped, network.prefixlen - V4_MAPPED_PREFIX)) if mapped is not None else network
    return network


def read_table(texts: Iterable[str]) -> NetworkTable:
    """The networks in `texts`, made ready for look-ups. Raises ValueError."""
    networks = [read_network(text) for text in texts]
    return NetworkTable(networks) if networks else EMPTY


class Ruling(Struct, frozen=True):
    """What a list says of an address, and by which of its rules: `deny 192.0.2.0/24`, `allow 10.0.0.0/8`.

    `rule` is `not in allow` for an address that no allowed network holds, and empty where the list does not ask.
    """

    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Where requests may come from, as networks in CIDR notation. See the rules at the head of the module.

    `allow` names the only networks let in; None does not ask here. `deny` names networks kept out, also of `allow`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    _allowed: NetworkTable = field(init=False, repr=False, compare=False)
    _denied: NetworkTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", read_table(self.allow or ()))
        object.__setattr__(self, "_denied", read_table(self.deny))

    def judge(self, address: Address) -> Ruling:
        """What this list says of `address`."""
        if denied := self._denied.find(address):
            return Ruling(False, f"deny {denied}")
        if self.allow is None:
            return Ruling(True, "")
        if allowed := self._allowed.find(address):
            return Ruling(True, f"allow {allowed}")
        return Ruling(False, "not in allow")

    def allows(self, address: Address) -> bool:
        """Whether `address` passes this list."""
        return address not in self._denied and (self.allow is None or address in self._allowed)

    def require(self, address: Address, reason: str) -> None:
        """Raises AddressNotAllowed with the private `reason` and the rule, when `address` does not pass."""
        if not self.allows(address):
            raise AddressNotAllowed(reason, rule=self.judge(address).rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerNetworks:
    """Lists for one listener each; an address must pass the global list too.

    `public` is the list of the API's listener, `admin` that of the admin API's and the metrics', `console` that of the
    console's.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    public: Networks = field(default_factory=Networks)
    admin: Networks = field(default_factory=Networks)
    console: Networks = field(default_factory=Networks)

    def of(self, listener: Literal["public", "admin", "console"]) -> Networks:
        """The list of one listener."""
        return {"public": self.public, "admin": self.admin, "console": self.console}[listener]
