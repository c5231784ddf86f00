"""Step 3: a bound on failed credentials per network, against guessing and stuffing (NIST 800-53 AC-7).

Read at step 3, handed on, charged and enforced only when the credential fails at step 5: a valid
credential is never refused, so nobody can lock a team out by guessing from the same address.

Rules:
 * The unit is the network a single attacker commonly holds: IPv4 /24, IPv6 /56.
 * A minute's worth of failures at once, then one more each time its share of a minute is over (`rate_limit`).
 * Beyond it a failure is answered RateLimited instead of NotAuthenticated, and is not charged: its
   `retry_after_s` stays true however often the caller tries.
 * At most `max_networks` are remembered; the one that failed longest ago is forgotten first. An
   attacker with more networks than that gains only what each new network brings anyway.
"""

from collections import OrderedDict
from ipaddress import ip_network

from msgspec import Struct

from policies.addresses.networks import Address, Network
from policies.errors import RateLimited
from policies.limiting.rate_limit import Conforming, Rate, TooSoon, gcra

NS_PER_S = 1_000_000_000
# About 100 bytes each: 7 MB at most.
MAX_NETWORKS = 65_536


class GuessAllowance(Struct, frozen=True):
    """Evidence that the bound was read: the caller's network and how many failures it has left."""

    network: Network
    failures_left: int


class Guessing:
    """The failures of every network, in memory: `per_minute` of them sustained, and as many at once.

    `now_ns` is any monotonic clock in nanoseconds; integers, so that what `read` promises is kept.
    """

    def __init__(self, per_minute: int, max_networks: int = MAX_NETWORKS) -> None:
        if max_networks < 1:
            raise ValueError("max_networks must be above 0")
        self._max_networks = max_networks
        # When each network's failures will be forgotten ("theoretical arrival time", ITU-T I.371).
        self._forgotten_at_ns: OrderedDict[Network, int] = OrderedDict()
        self.relimit(per_minute)

    def relimit(self, per_minute: int) -> None:
        """Allow `per_minute` failures from now on; what networks owe stays owed."""
        if per_minute < 1:
            raise ValueError("per_minute must be above 0")
        self._rate = Rate(per_minute, burst=per_minute)

    def read(self, address: Address, now_ns: int) -> GuessAllowance:
        """What the network of `address` has left. Changes nothing."""
        network = guess_network(address)
        owed_ns = max(0, self._forgotten_at_ns.get(network, now_ns) - now_ns)
        return GuessAllowance(network, max(0, self._rate.burst - -(-owed_ns // self._rate.interval_ns)))

    def charge_failure(self, allowance: GuessAllowance, now_ns: int) -> None:
        """Count one failed credential. Raises RateLimited when the network has none left."""
        network = allowance.network
        decision = gcra(self._rate, self._forgotten_at_ns.get(network), now_ns)
        if isinstance(decision, Conforming):
            self._forgotten_at_ns[network] = decision.tat_ns
        self._forgotten_at_ns.move_to_end(network)
        if len(self._forgotten_at_ns) > self._max_networks:
            self._forgotten_at_ns.popitem(last=False)
        if isinstance(decision, TooSoon):
            limit = "failed credentials from your network"
            raise RateLimited("guessing", limit=limit, retry_after_s=decision.retry_after_ns / NS_PER_S)


def guess_network(address: Address) -> Network:
    """The network that failures of `address` count against: its /24, or its /56 for IPv6."""
    return ip_network((address, 24 if address.version == 4 else 56), strict=False)
