"""Keeps one issuer's keys: fetched ahead of need, kept through an outage, never asked for twice at once.

States of a key set by its age, and what a request gets:
  none yet              waits for the fetch that runs (one for all), at most one try each RETRY_S; else 503
  to the refresh        the keys (10 min over the network, 5 s from a file)
  to FRESH_S            the keys, while a refresh runs in the background
  to FRESH_S + stale_s  the same: the provider is away, and its keys do not turn bad by that (stale-if-error)
  beyond                waits for a fetch as at the start; else 503: who could say that a key was not withdrawn?
A set that comes well-formed and holds no usable key is no fault of the way: it puts this back to "none yet".

A `kid` that is not in the set may be a new key, or anybody's invention. It is looked for at most once in
UNKNOWN_KID_S for all of them together, and one that was not found is not looked for again for its own sake
in NEGATIVE_S; so ten thousand random kids a minute cost the provider two fetches (threat T18). Every fetch
brings what was published since, whoever asked for it.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from gateway.clock import Clock
from gateway.tokens.key_set_fetch import KeySetFault, KeySetFetch, KeysWithdrawn
from policies.errors import PolicyUnavailable
from policies.tokens.jwk import KeySet

FRESH_S = 900.0
RETRY_S = 5.0
"""Between tries while there is nothing to judge by."""
UNKNOWN_KID_S = 30.0
NEGATIVE_S = 120.0
MAX_NEGATIVE = 1024

Told = Callable[[str], None]


class Pace(Struct, frozen=True):
    """When keys are fetched again: at the age of `refresh_s`, and `retry_s` after a refresh that failed."""

    refresh_s: float
    retry_s: float


OVER_THE_NETWORK = Pace(refresh_s=600.0, retry_s=30.0)
FROM_A_FILE = Pace(refresh_s=5.0, retry_s=5.0)


class KeySetSource:
    """The keys of one issuer. `told` hears "" when keys came after a fault, and the first fault's text after keys."""

    def __init__(
        self, fetch: KeySetFetch, clock: Clock, stale_s: float, told: Told, pace: Pace = OVER_THE_NETWORK
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._stale_s = stale_s
        self._told = told
        self._pace = pace
        self._keys: KeySet | None = None
        self._fetched_s = 0.0
        self._tried_s: float | None = None
        self._faulty = False
        self._missing: dict[str, float] = {}
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def keys_for(self, kid: str) -> KeySet:
        """The keys to judge a token with `kid` ("" for none) by; it may still not be among them.

        Raises PolicyUnavailable when there are none that may be used.
        """
        if self._usable() is None and self._may_try(RETRY_S):
            await self._refresh()
        keys = self._usable()
        if keys is None:
            raise PolicyUnavailable("key_set_away")
        return keys if keys.has(kid) else await self._look_for(kid, keys)

    async def refresh_if_due(self) -> None:
        """The background's turn: fetch when the keys are missing, or old enough for another look."""
        age_s = self.age_s()
        due = age_s is None or age_s >= self._pace.refresh_s
        if due and self._may_try(self._pace.retry_s if self.usable() else RETRY_S):
            await self._refresh()

    def usable(self) -> bool:
        """Whether there are keys to judge by."""
        return self._usable() is not None

    def age_s(self) -> float | None:
        """Seconds since the keys were fetched, None without any."""
        return None if self._keys is None else self._now_s() - self._fetched_s

    async def close(self) -> None:
        """End a running fetch and close the connections. Who waited for keys, or asks now, finds what there is."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._fetch.close()

    # ---- one fetch at a time

    async def _refresh(self) -> None:
        """Join the fetch that runs, or start it. A caller who leaves does not end it for the others."""
        running = self._running
        if running is None or running.done():
            self._tried_s = self._now_s()
            self._running = running = asyncio.create_task(self._fetch_once())
        await asyncio.wait({running})  # ends neither with the fetch's cancellation nor the other way round
        if not running.cancelled():
            running.result()  # a bug in it is a bug of everyone who waited: nobody goes on without an answer

    async def _fetch_once(self) -> None:
        try:
            keys = await self._fetch.fetch()
        except KeySetFault as fault:
            if isinstance(fault, KeysWithdrawn):
                self._keys = None
            self._tell(str(fault))
            return
        self._keys, self._fetched_s = keys, self._now_s()
        self._missing = {kid: at_s for kid, at_s in self._missing.items() if not keys.has(kid)}
        self._tell("")

    def _tell(self, fault: str) -> None:
        """Changes only: keys at the start are no news, a fault at the start is."""
        changed = bool(fault) != self._faulty
        self._faulty = bool(fault)
        if changed:
            self._told(fault)

    # ---- decisions

    def _usable(self) -> KeySet | None:
        age_s = self.age_s()
        return self._keys if age_s is not None and age_s <= FRESH_S + self._stale_s else None

    def _may_try(self, apart_s: float) -> bool:
        """Whether a fetch runs that can be joined, or the last one lies `apart_s` back."""
        if self._closed:
            return False
        running = self._running is not None and not self._running.done()
        return running or self._tried_s is None or self._now_s() - self._tried_s >= apart_s

    async def _look_for(self, kid: str, keys: KeySet) -> KeySet:
        """The keys after looking whether `kid` is new."""
        now_s = self._now_s()
        if now_s - self._missing.get(kid, -NEGATIVE_S) < NEGATIVE_S or not self._may_try(UNKNOWN_KID_S):
            return keys
        await self._refresh()
        found = self._usable() or keys
        if self._fetched_s >= now_s and not found.has(kid):
            self._remember_missing(kid, now_s)
        return found

    def _remember_missing(self, kid: str, now_s: float) -> None:
        """The oldest is forgotten first: a flood of kids must not fill memory."""
        self._missing.pop(kid, None)
        self._missing[kid] = now_s
        if len(self._missing) > MAX_NEGATIVE:
            del self._missing[next(iter(self._missing))]

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9
