"""The copy of keys and revocations in memory, and whether it is recent enough to decide by."""

import math

from gateway.clock import Clock
from gateway.keys.key_store import KeyStore
from gateway.readiness import Source
from policies.credentials.principal import Principal
from policies.credentials.staleness import is_fresh, require_fresh


class TrustedCopy:
    """Checks principals against what is revoked, while its sources were heard within `stale_keys_s`.

    The home's own store is one; where gateways of several hosts share theirs, what the others say is the second.
    """

    def __init__(self, keys: KeyStore, clock: Clock, stale_keys_s: float, *, shared: bool = False) -> None:
        """The store has just been read: that is when it was heard first. `shared`: others are still to be heard."""
        self._keys = keys
        self._clock = clock
        self._stale_keys_s = stale_keys_s
        self._heard_s = self._now_s()
        self._others_heard_s = -math.inf if shared else math.inf

    def refresh(self) -> None:
        """Hear what other processes changed. Raises PolicyUnavailable; then the time that is left runs on."""
        self._keys.refresh()
        self._heard_s = self._now_s()

    def heard_others(self) -> None:
        """What other hosts changed was heard just now."""
        self._others_heard_s = self._now_s()

    def stale(self) -> tuple[Source, ...]:
        """The sources that were not heard for too long; while there are any, `check` refuses everybody."""
        heard: tuple[tuple[Source, float], ...] = (("home", self._heard_s), ("store", self._others_heard_s))
        return tuple(source for source, heard_s in heard if not is_fresh(heard_s, self._now_s(), self._stale_keys_s))

    def check(self, principal: Principal) -> None:
        """Raises PolicyUnavailable for a copy too old, LockedDown, or NotAuthenticated for what is revoked."""
        require_fresh(min(self._heard_s, self._others_heard_s), self._now_s(), self._stale_keys_s)
        self._keys.revocations.current.check(principal)

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9
