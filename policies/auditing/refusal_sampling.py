"""Which refusals get a record of their own, and how the rest is counted.

Without this a flood of refused requests would fill the log's disk, which stops everything: the cheapest attack on a log
that refuses to serve what it cannot record.

Rules:
 (1) Refusals are of one class when they have the same reason and come from the same network: an IPv4 /24, an IPv6
     /48, what one attacker has at hand. The network is all of an address that the count tells.
 (2) The first so many of a class in a minute have full records. The rest are counted, and each second the counts that
     grew are told: one `refusals.sampled` a class, with the exact count and the time it spans.
 (3) At most `MAX_NETWORKS` networks are kept apart in a minute; refusals from any others share one class for each
     reason, whose network is "other". So a flood from everywhere writes no more than one from somewhere.
 (4) A count is given back when it could not be recorded, and told with the next.
"""

from ipaddress import IPv4Address, IPv6Address, ip_network

from msgspec import Struct

MINUTE_S = 60.0
MAX_NETWORKS = 32
OTHER = "other"
UNKNOWN = "unknown"
Class = tuple[str, str]
"""Reason and network."""


class Sample(Struct, frozen=True):
    """So many refusals of a class that have no record of their own; Unix seconds of the first and the last."""

    reason: str
    network: str
    count: int
    since_s: float
    until_s: float


def network_of(address: IPv4Address | IPv6Address | None) -> str:
    """Rule (1)."""
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


class RefusalSampling:
    """The counts of one gateway process. Times are Unix seconds."""

    def __init__(self, full_per_minute: int) -> None:
        self.full_per_minute = full_per_minute
        self.sampled = 0
        """All that were only counted, since the start."""
        self._minute = -1
        self._told: dict[Class, int] = {}
        self._networks: set[str] = set()
        self._counts: dict[Class, Sample] = {}

    def takes(self, reason: str, network: str, now_s: float) -> bool:
        """Whether this refusal has a record of its own; if not it is counted. Rules (2) and (3)."""
        self._turn_to(now_s)
        kind = (reason, self._kept_apart(network))
        told = self._told.get(kind, 0)
        if told < self.full_per_minute:
            self._told[kind] = told + 1
            return True
        self.sampled += 1
        self._add(Sample(*kind, 1, now_s, now_s))
        return False

    def collect(self) -> list[Sample]:
        """The counts since the last time, to be recorded now."""
        samples, self._counts = list(self._counts.values()), {}
        return samples

    def give_back(self, sample: Sample) -> None:
        """Rule (4)."""
        self._add(sample)

    def _turn_to(self, now_s: float) -> None:
        minute = int(now_s // MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._told.clear()
            self._networks.clear()

    def _kept_apart(self, network: str) -> str:
        if network not in self._networks and len(self._networks) >= MAX_NETWORKS:
            return OTHER
        self._networks.add(network)
        return network

    def _add(self, more: Sample) -> None:
        kind = (more.reason, more.network)
        known = self._counts.get(kind)
        if known is not None:
            since_s, until_s = min(known.since_s, more.since_s), max(known.until_s, more.until_s)
            more = Sample(more.reason, more.network, known.count + more.count, since_s, until_s)
        self._counts[kind] = more
