"""Step 3: a bound on failed credentials per network, against guessing and stuffing (NIST 800-53 AC-7).

Read at step 3, handed on, charged and enforced only when the credential fails at step 5: a valid
credential is never refused, so nobody can lock a team out by guessing from the same address.

Rules:
 * The unit is the network a single attacker commonly holds: IPv4 /24, IPv6 /56.
 * `limit` failures at once, then one more each `window_s / limit` (GCRA, one number a network).
 * Beyond it a failure is answered RateLimited instead of NotAuthenticated, and is not charged: its
   `retry_after_s` stays true however often the caller tries.
 * At most `max_networks` are remembered; the one that failed longest ago is forgotten first. An
   attacker with more networks than that gains only what each new network brings anyway.
"""

from collections import OrderedDict
from ipaddress import ip_network

from msgspec import Struct

from policies.errors import RateLimited
from policies.networks import Address, Network

# About 100 bytes each: 7 MB at most.
MAX_NETWORKS = 65_536


class GuessAllowance(Struct, frozen=True):
    """Evidence that the bound was read: the caller's network and how many failures it has left."""

    network: Network
    failures_left: int


class Guessing:
    """The failures of every network, in memory. `now_s` is any monotonic clock in seconds."""

    def __init__(self, limit: int, window_s: float, max_networks: int = MAX_NETWORKS) -> None:
        if limit < 1 or not window_s > 0 or max_networks < 1:
            raise ValueError("limit, window_s and max_networks must be above 0")
        self._window_s = window_s
        self._interval_s = window_s / limit
        self._max_networks = max_networks
        # When each network's failures will be forgotten ("theoretical arrival time", ITU-T I.371).
        self._forgotten_at_s: OrderedDict[Network, float] = OrderedDict()

    def relimit(self, limit: int) -> None:
        """Allow `limit` failures a window from now on; what networks owe stays owed."""
        if limit < 1:
            raise ValueError("limit must be above 0")
        self._interval_s = self._window_s / limit

    def read(self, address: Address, now_s: float) -> GuessAllowance:
        """What the network of `address` has left. Changes nothing."""
        network = guess_network(address)
        owed_s = max(0.0, self._forgotten_at_s.get(network, now_s) - now_s)
        # A rounding error must not cost a failure that charge_failure would take.
        return GuessAllowance(network, int((self._window_s - owed_s) / self._interval_s + 1e-9))

    def charge_failure(self, allowance: GuessAllowance, now_s: float) -> None:
        """Count one failed credential. Raises RateLimited when the network has none left."""
        network = allowance.network
        forgotten_at_s = max(self._forgotten_at_s.get(network, now_s), now_s) + self._interval_s
        excess_s = forgotten_at_s - now_s - self._window_s
        over = excess_s > self._interval_s * 1e-9
        self._forgotten_at_s[network] = forgotten_at_s - self._interval_s if over else forgotten_at_s
        self._forgotten_at_s.move_to_end(network)
        if len(self._forgotten_at_s) > self._max_networks:
            self._forgotten_at_s.popitem(last=False)
        if over:
            retry_after_s = min(excess_s, self._window_s)  # rounding may put it a step beyond
            raise RateLimited("guessing", limit="failed credentials from your network", retry_after_s=retry_after_s)


def guess_network(address: Address) -> Network:
    """The network that failures of `address` count against: its /24, or its /56 for IPv6."""
    return ip_network((address, 24 if address.version == 4 else 56), strict=False)
