"""The limits' store of several gateways, and what holds while the Redis they share is away.

`on_failure` decides: `local` counts rates and concurrency here, at this gateway's share, and refuses what has a
budget; `closed` refuses whatever is limited; `unsafe_open` limits nothing. No decision waits for Redis beyond its
time-out, and once one has failed none waits at all: the heartbeat alone asks until Redis is back.

Why admitted(t, t + W) <= burst + rate * W holds through both switches, for requests:
 (1) Each gateway beats once a second. One that Redis has not heard of for ABSENT_S, nor seen leave, is absent. While
     one of N is absent, the script lets a request cost N / (N - 1) as much: the others have its share no longer.
 (2) A gateway counts on its own from ABSENT_S after the last heartbeat it sent, when Redis has missed it: then the
     shares of all who count, Redis among them, never add up to more than 1. A heartbeat that was held up does not
     count late (`not_after_us`). A gateway alone has nobody to wait for.
 (3) Its buckets begin empty at rate / N and burst / N. So what could be admitted at once, summed over Redis and all
     gateways, is never above `burst`, grows by at most `rate`, and falls when a gateway goes.
 (4) When it comes back, what it admitted under is emptied in Redis first, and only then does it beat; until then it
     admits nothing. What it has not admitted under is as Redis has it: nobody has used that share.
 (5) What Redis was asked and did not answer in time may have been charged there: that only lowers what is admitted.
For tokens a minute the same with slots: the share counts as used up for the first minute, and what was charged
here is added in Redis on return. Concurrency is this gateway's own, at limit / N; its leases are written on return.

A store that lost its data (FLUSHALL, a restart without persistence) is known by its epoch: all buckets begin empty,
leases are written again, and budgets take the most that any gateway remembers.

What this does not promise: a gateway that joins while another is already cut off is not in the other's N, so the two
may for that time exceed a rate by the difference of their shares. A gateway that has never met Redis refuses, since it
cannot know N. A gateway that dies is absent for an hour, unless one of the same name takes its place.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gateway.clock import Clock
from gateway.limits.counted_here import CountedHere
from gateway.limits.held_reservations import HeldReservations
from gateway.limits.redis_link import RedisAway
from gateway.limits.redis_store import RedisStore
from policies.errors import PolicyUnavailable
from policies.limiting.limit_decision import NS
from policies.limiting.limits import Claim, Claims, RateClaim, Reservation, Taken, Used
from policies.limiting.own_share import OwnShare
from policies.standing import LimitUse

OnFailure = Literal["local", "closed", "unsafe_open"]
Details = dict[str, str | int | float | bool]
Tell = Callable[[str, Details], None]

BEAT_S = 1.0
ABSENT_S = 3.0
"""As in limits.lua: three heartbeats missed."""
RENEW_EVERY = 4
"""Leases last 15 s and are renewed every fourth heartbeat: three may fail."""
FIRST_RETRY_S = 0.1
"""A hiccup should not last a second; each further question comes twice as late, up to a heartbeat."""
MAX_OWED = 10_000
"""Settlements kept for Redis' return; beyond it the oldest is given up, which leaves its tokens charged."""


class StoreState(Struct, frozen=True):
    """For status and metrics: `reason` is empty while Redis answers; `failures` counts how often it did not."""

    reason: str
    gateways: int
    present: int
    failures: int
    owed: int


class FallbackStore:
    """A `policies.limiting.limits.Store` over a RedisStore. `gateway` is our name, the same after a restart."""

    def __init__(self, redis: RedisStore, clock: Clock, gateway: str, on_failure: OnFailure, timeout_s: float) -> None:
        self._redis = redis
        self._clock = clock
        self._gateway = gateway
        self._on_failure = on_failure
        self._timeout_ns = round(timeout_s * NS)
        self._tell: Tell = _untold
        self._reason = "not_met"
        self._here: CountedHere | None = None
        self._returning = False
        self._gateways = self._present = self._failures = 0
        self._since_ns = self._last_sent_ns = clock.mono_ns()
        self._server_ahead_us = 0
        self._held = HeldReservations()
        self._counted_by: dict[str, CountedHere] = {}
        self._owed: deque[tuple[Reservation, Used]] = deque(maxlen=MAX_OWED)
        self._wake = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None

    # ---- life

    async def start(self, tell: Tell) -> None:
        """Meet Redis, or begin without it; `tell` hears of `limits.degraded` and `limits.restored`."""
        self._tell = tell
        try:
            await self._return()
        except RedisAway as fault:
            self._failures += 1
            self._reason = fault.reason
            tell("limits.degraded", self._details())
        self._beating = asyncio.create_task(self._keep_beating())

    async def close(self) -> None:
        """Settle what is owed, say goodbye and let go."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        with contextlib.suppress(RedisAway):
            if not self._reason:
                await self._pay_owed()
                await self._redis.leave(self._gateway)
        await self._redis.close()

    @property
    def keeping(self) -> bool:
        """False when the heartbeat has ended, which only a fault of ours can do."""
        return self._beating is not None and not self._beating.done()

    @property
    def refuses(self) -> str:
        """Why whatever is limited is refused: Redis is away, and nothing is counted here; empty else."""
        counting = self._here is not None and self._on_failure == "local"
        return "" if counting or self._on_failure == "unsafe_open" else self._reason

    def state(self) -> StoreState:
        """How things stand."""
        return StoreState(self._reason, self._gateways, self._present, self._failures, len(self._owed))

    # ---- the protocol

    async def take(self, claims: tuple[RateClaim, ...]) -> Taken:
        """Charge all rates, here or there, or raise with nothing charged."""
        if claims and not self._reason:
            try:
                return await self._redis.take(claims)
            except RedisAway as fault:
                self._failed(fault.reason)
        return self._take_here(claims)

    async def reserve(self, claims: Claims) -> Reservation:
        """Charge and hold all claims, here or there, or none."""
        asked = Reservation(self._redis.next_id(), claims, unix_s=self._server_s())
        if _every(claims) and not self._reason:
            try:
                return self._held.hold(await self._redis.reserve(claims, asked.id))
            except RedisAway as fault:
                self._owed.append((asked, Used()))
                self._failed(fault.reason)
            except asyncio.CancelledError:
                self._owed.append((asked, Used()))
                self._wake.set()
                raise
        return self._held.hold(self._reserve_here(asked))

    async def use(self, claims: Claims) -> tuple[LimitUse, ...]:
        """How much of each is in use now, over all gateways. Raises PolicyUnavailable while the store is away."""
        if not _every(claims):
            return ()
        if self._reason:
            raise PolicyUnavailable("limits_away")
        try:
            return await self._redis.use(claims)
        except RedisAway as fault:  # whoever looks must not have requests counted elsewhere: no `_failed`
            raise PolicyUnavailable("limits_away") from fault

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """End what was held, once. While Redis is away it is owed."""
        if not self._held.let_go(reservation):
            return
        here = self._counted_by.pop(reservation.id, None)
        if here is not None:
            here.settle(reservation, used)
        if not _every(reservation.claims):
            return
        owed = (reservation, used)
        self._owed.append(owed)
        if self._reason:
            return
        try:
            await self._redis.settle(reservation, used)
        except RedisAway as fault:
            self._failed(fault.reason)
        else:
            with contextlib.suppress(ValueError):
                self._owed.remove(owed)

    # ---- while Redis is away

    def _take_here(self, claims: tuple[RateClaim, ...]) -> Taken:
        here = self._counting(claims)
        return here.take(claims) if here is not None else Taken()

    def _reserve_here(self, asked: Reservation) -> Reservation:
        here = self._counting(_every(asked.claims))
        if here is None:
            return Reservation(asked.id, Claims())
        reservation = here.reserve(asked)
        self._counted_by[asked.id] = here
        return reservation

    def _counting(self, claims: tuple[Claim, ...]) -> CountedHere | None:
        """Who counts here; None when nothing limits. Raises PolicyUnavailable where limits are refused."""
        if self._on_failure == "unsafe_open" or all(claim.report for claim in claims):
            return None
        if self._on_failure == "closed" or self._here is None or self._returning:
            raise PolicyUnavailable("limits_away")
        return self._here

    # ---- going and coming back

    def _failed(self, reason: str) -> None:
        """Count here from now on, the first time; ask again soon."""
        self._failures += 1
        if self._reason:
            return
        self._reason = reason
        self._since_ns = self._clock.mono_ns()
        self._here = self._fresh_share()
        self._tell("limits.degraded", self._details())
        self._wake.set()

    def _fresh_share(self) -> CountedHere:
        """Counts from when Redis must have missed us, if the last heartbeat that we sent was heard at all (rule 2)."""
        missed_ns = self._last_sent_ns + round(ABSENT_S * NS) if self._gateways > 1 else 0
        share = OwnShare(self._gateways, max(self._clock.mono_ns(), missed_ns) + 2 * self._timeout_ns)
        return CountedHere(share, self._held, self._clock)

    async def _return(self) -> None:
        """Write what was counted here, then beat, then ask Redis again. Raises RedisAway and changes nothing."""
        await self._redis.bring(())
        self._returning = True
        try:
            counted = self._here.brought() if self._here is not None else []
            await self._redis.bring([*counted, *self._held.leases()])
            if self._here is not None:
                self._last_sent_ns = self._clock.mono_ns()
                self._here = self._fresh_share()  # it may be heard though we do not learn it
            await self._beat()
        finally:
            self._returning = False
        reason, self._reason, self._here = self._reason, "", None
        if reason != "not_met":
            away_s = (self._clock.mono_ns() - self._since_ns) / NS
            self._tell("limits.restored", {**self._details(), "reason": reason, "away_s": round(away_s, 3)})
        await self._pay_owed()

    async def _keep_beating(self) -> None:
        """Ask while Redis is away, beat while it is not."""
        retry_s, beats = FIRST_RETRY_S, 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_s if self._reason else BEAT_S):  # wait_for may swallow a cancellation
                    await self._wake.wait()
            self._wake.clear()
            try:
                if self._reason:
                    retry_s = min(2 * retry_s, BEAT_S)  # one that comes and goes is told no more often
                    await self._return()
                else:
                    retry_s, beats = FIRST_RETRY_S, beats + 1
                    await self._go_on(renew=beats % RENEW_EVERY == 0)
            except RedisAway as fault:
                self._failed(fault.reason)

    async def _go_on(self, *, renew: bool) -> None:
        """One heartbeat, and what goes with it. Raises RedisAway."""
        await self._beat()
        if renew and (held := self._held.all()):
            await self._redis.bring(self._held.leases())
            if ended := self._held.lease_ends(held):  # settled meanwhile, and perhaps renewed after that
                await self._redis.bring(ended)
        await self._pay_owed()

    async def _beat(self) -> None:
        """Say that we live. After a jump of the server's clock once more, by its new time. Raises RedisAway."""
        self._last_sent_ns, epoch = self._clock.mono_ns(), self._redis.epoch
        not_after_us = self._last_sent_ns // 1000 + self._server_ahead_us + 2 * self._timeout_ns // 1000 if epoch else 0
        try:
            beat = await self._redis.beat(self._gateway, known=self._gateways, not_after_us=not_after_us)
        except RedisAway as fault:
            if fault.reason != "stale_heartbeat":
                raise
            self._last_sent_ns, now_us = self._clock.mono_ns(), self._redis.last_us
            not_after_us = now_us + 2 * self._timeout_ns // 1000
            beat = await self._redis.beat(self._gateway, known=self._gateways, not_after_us=not_after_us)
        self._server_ahead_us = beat.now_us - self._clock.mono_ns() // 1000
        self._gateways, self._present = beat.most, beat.present
        if epoch and beat.epoch != epoch:
            await self._redis.bring([*self._held.leases(), *self._redis.known_charges()])

    async def _pay_owed(self) -> None:
        """Settle what could not be. Raises RedisAway, with the rest still owed."""
        for _ in range(len(self._owed)):
            if not self._owed:
                return
            reservation, used = owed = self._owed[0]
            await self._redis.settle(reservation, used)
            with contextlib.suppress(ValueError):
                self._owed.remove(owed)

    def _server_s(self) -> int:
        """About the second of the server's clock."""
        return (self._clock.mono_ns() // 1000 + self._server_ahead_us) // 1_000_000

    def _details(self) -> Details:
        return {"reason": self._reason, "gateways": self._gateways, "mode": self._on_failure}


def _untold(_event: str, _details: Details) -> None:
    """Before `start` there is nobody to tell."""


def _every(claims: Claims) -> tuple[Claim, ...]:
    return (*claims.rates, *claims.concurrency, *claims.budgets)
