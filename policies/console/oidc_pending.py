"""The sign-ins under way in one process: how many, and which is forgotten when there are too many.

Anybody who reaches the console can begin sign-ins and never come back. So:
 (1) one network (IPv4 /24, IPv6 /56, as for guessing) has at most MAX_OF_NETWORK; its own oldest makes room
 (2) all together are at most MAX_LOGINS; the oldest makes room
 (3) each is taken out by its first visit, and forgotten once it is too old to be taken
Pushed out by (2) is only who shares the console with attackers from a hundred networks: keep it on an allowlist.
"""

from collections import OrderedDict

from msgspec import Struct

from policies.addresses.networks import Network
from policies.console.oidc_login import LOGIN_S, Pending

MAX_LOGINS = 4096
"""Some 400 bytes each."""
MAX_OF_NETWORK = 32
"""A whole office behind one address, in ten minutes."""


class _Kept(Struct, frozen=True):
    pending: Pending
    network: Network


class PendingLogins:
    """Sign-ins by their places, oldest first."""

    def __init__(self, max_logins: int = MAX_LOGINS, max_of_network: int = MAX_OF_NETWORK) -> None:
        self._max_logins = max_logins
        self._max_of_network = max_of_network
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._places: dict[Network, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, place: str, pending: Pending, network: Network) -> None:
        """Keep `pending`, which began now, for `network`."""
        self._forget_old(pending.begun_s)
        own = self._places.setdefault(network, OrderedDict())
        if len(own) >= self._max_of_network:
            self._drop(next(iter(own)))
        if len(self._kept) >= self._max_logins:
            self._drop(next(iter(self._kept)))
        self._kept[place] = _Kept(pending, network)
        self._places.setdefault(network, OrderedDict())[place] = None

    def take(self, place: str) -> Pending | None:
        """What was kept under `place`, for the only time."""
        return self._drop(place) if place in self._kept else None

    def _drop(self, place: str) -> Pending:
        kept = self._kept.pop(place)
        own = self._places[kept.network]
        del own[place]
        if not own:
            del self._places[kept.network]
        return kept.pending

    def _forget_old(self, now_s: float) -> None:
        """The oldest first; a clock that went back forgets nothing."""
        while self._kept:
            place, oldest = next(iter(self._kept.items()))
            if now_s - oldest.pending.begun_s <= LOGIN_S:
                return
            self._drop(place)
