"""What a running gateway notices about keys: that one was used, that a replaced one still is, that one ends soon."""

from collections import Counter
from collections.abc import Callable

from gateway.clock import Clock, unix_s
from gateway.keys.key_store import KeyStore
from policies.addresses.networks import Address
from policies.credentials.key_expiry import ExpiryWarning, KeyEnd, due_warnings, ends_within
from policies.credentials.key_record import DAY_S, KeyRecord
from policies.credentials.principal import Principal
from policies.credentials.public_key import PublicKeyRecord

FLAG_AGAIN_S = 3600.0
"""A program that was forgotten in a rotation calls all day; once an hour is enough to find it."""
LOOK_AGAIN_S = 60.0
SHOWN_S = 30 * DAY_S
"""Ends further away are no metric yet, so that there is no series for every key."""

Note = Callable[[str, dict[str, str | int | float | bool]], None]


class KeyWatch:
    """Tells the store of uses and, through `note(event, details)`, the audit log of what somebody should act on.

    `note` must not block. Memory: the flags of the last hour, and three warnings a key at most.
    """

    def __init__(self, keys: KeyStore, clock: Clock, note: Note) -> None:
        self._keys = keys
        self._clock = clock
        self._note = note
        self._flagged_s: dict[str, float] = {}
        self._warned: set[ExpiryWarning] = set()
        self._look_at_s = 0.0

    def used(self, principal: Principal, client: Address) -> None:
        """A request of `principal` from `client` was accepted."""
        self._keys.touch(principal.key_id, self._now_s(), str(client))
        successor = self._keys.get(principal.successor_id)
        if successor is not None and successor.last_used_s is not None:
            self._flag(principal, successor.id)

    def look_at_ends(self) -> None:
        """Note the keys that end soon, each once a threshold. Made to be called often: it looks once a minute."""
        mono_s = self._mono_s()
        if mono_s < self._look_at_s:
            return
        self._look_at_s = mono_s + LOOK_AGAIN_S
        for due in due_warnings(self._all(), self._now_s(), self._warned):
            self._warned.add(due)
            self._note("key.expiring", {"key_id": due.key_id, "team": due.team, "days": due.days})

    def ends(self) -> tuple[KeyEnd, ...]:
        """The active keys that end within 30 days."""
        return ends_within(self._all(), self._now_s(), SHOWN_S)

    def active_by_team(self) -> dict[str, int]:
        """How many active keys each team has, registered public keys among them."""
        now_s = self._now_s()
        return Counter(record.team for record in self._all() if record.state(now_s) == "active")

    def _all(self) -> tuple[KeyRecord | PublicKeyRecord, ...]:
        return (*self._keys.records(), *self._keys.public_keys.records())

    def _flag(self, principal: Principal, successor_id: str) -> None:
        """The key should be out of use: its successor is in use already."""
        key_id = principal.key_id
        mono_s = self._mono_s()
        if mono_s < self._flagged_s.get(key_id, -FLAG_AGAIN_S) + FLAG_AGAIN_S:
            return
        self._flagged_s = {known: at_s for known, at_s in self._flagged_s.items() if mono_s < at_s + FLAG_AGAIN_S}
        self._flagged_s[key_id] = mono_s
        self._note("key.predecessor_used", {"key_id": key_id, "team": principal.team, "successor": successor_id})

    def _now_s(self) -> float:
        return unix_s(self._clock)

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9
