"""The limits' store of several gateways: one Redis 7, one script (`limits.lua`), the server's clock.

Decides nothing: the script does, by the rules of `policies.limiting.limit_decision`, and both answer the same sequences
alike. Here claims become its arguments and its figures the same verdicts, standings and refusals as in memory. What
holds when the server cannot be asked stands in `fallback_store.py`; everything here raises RedisAway then.

The server must not evict, for a bucket that is evicted is full again: one with a `maxmemory` and another policy than
`noeviction`, Redis' default, is not used (`store_evicts`). When it has no memory left it answers with an error. Its
user needs the permissions for INFO and for scripts beside those for reading and writing under `{corral}`.
"""

import itertools
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from msgspec import Struct

from gateway.limits.redis_link import Part, RedisAway, RedisLink, Script
from gateway.limits.redis_verdict import US, Verdict, read_use, read_verdict, row_of
from gateway.limits.store_keys import FLEET_KEYS, Brought, budget_key, claim_key, held_key, known_charge
from policies.limiting.limit_decision import charged_claims, conclude, used_of
from policies.limiting.limits import BudgetClaim, Claim, Claims, RateClaim, Reservation, Taken, Used
from policies.standing import LimitUse

MAX_KNOWN = 10_000
"""Budgets that a gateway remembers, the last used ones."""
BATCH = 200
"""Keys that one call of `bring` touches: some 0.2 ms of the server's time."""


class DataLost(RedisAway):
    """The server answers, but it is not the store that this gateway knows: what was counted is gone."""

    def __init__(self) -> None:
        super().__init__("data_lost")


class Beat(Struct, frozen=True):
    """What a heartbeat told: the store's epoch, the most gateways within the hour, and how many beat now."""

    now_us: int
    epoch: str
    most: int
    present: int


class RedisStore:
    """See the head of the module. `epoch` is the store's as of the last heartbeat, empty before the first."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._script = Script(files(__package__).joinpath("limits.lua").read_text("ascii"))
        self._ids = map((secrets.token_hex(8) + "-{}").format, itertools.count())
        self._known: OrderedDict[str, Brought] = OrderedDict()
        self.epoch = ""
        self.last_us = 0

    # ---- the protocol's three acts

    async def take(self, claims: tuple[RateClaim, ...]) -> Taken:
        """Charge all rates, or raise with nothing charged. Raises RedisAway."""
        verdict = await self._charge(claims, "")
        left_out = conclude(verdict.waits)
        return Taken(_reasons(claims, left_out), verdict.standings)

    def next_id(self) -> str:
        """An id for a reservation, unique over all gateways and restarts."""
        return next(self._ids)

    async def reserve(self, claims: Claims, reservation_id: str) -> Reservation:
        """Charge and hold all claims, or none. Raises RedisAway: it may then be held, so settle the id."""
        every: tuple[Claim, ...] = (*claims.rates, *claims.concurrency, *claims.budgets)
        verdict = await self._charge(every, reservation_id)
        left_out = conclude(verdict.waits)
        held = charged_claims(claims, left_out)
        second = verdict.now_us // US
        for budget, charged in verdict.charged:
            self._remember(budget, second, charged)
        return Reservation(reservation_id, held, second, second, _reasons(every, left_out), verdict.standings)

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """End what was held and correct what was charged, once. Raises RedisAway."""
        used_tokens = used.prompt_tokens + used.output_tokens
        keys, rows = [*FLEET_KEYS, held_key(reservation.id)], list[Part]()
        for claim in reservation.claims.rates:
            if claim.unit != "requests":
                keys.append(claim_key(claim))
                rows += ("t", 0, claim.cost, used_of(claim.unit, used, claim.cost))
        for place in reservation.claims.concurrency:
            keys.append(claim_key(place))
            rows += ("c", 0, 0, 0)
        for budget in reservation.claims.budgets:
            keys.append(budget_key(budget, reservation.unix_s))
            rows += ("b", 0, budget.cost, used_tokens)
            self._remember(
                budget, reservation.unix_s, self._known_charge(budget, reservation.unix_s) - budget.cost + used_tokens
            )
        await self._run(keys, ("settle", reservation.id, *rows))

    async def use(self, claims: Claims) -> tuple[LimitUse, ...]:
        """How much of each is in use now; nothing is written. Raises RedisAway."""
        every: tuple[Claim, ...] = (*claims.rates, *claims.concurrency, *claims.budgets)
        keys = [*FLEET_KEYS, FLEET_KEYS[0], *map(claim_key, every)]
        rows = [part for claim in every for part in row_of(claim)]
        return read_use(every, await self._run(keys, ("use", self.epoch, *rows)))

    # ---- the fleet

    async def beat(self, gateway: str, *, known: int = 1, not_after_us: int = 0) -> Beat:
        """Say that this gateway lives and knows of `known`, and adopt the store's epoch. Raises RedisAway.

        The script lets all begin empty when the epoch is not the one we knew. `not_after_us` is the server's time
        beyond which this must not count any more: a heartbeat that was held up must not speak for a gateway that
        has long been counting on its own.
        """
        reply = await self._run(FLEET_KEYS, ("beat", gateway, self.epoch, secrets.token_hex(8), not_after_us, known))
        if reply[0] != b"beaten":
            raise RedisAway("store_evicts" if reply[0] == b"evicts" else "stale_heartbeat")
        self.epoch = reply[2].decode()
        return Beat(reply[1], self.epoch, reply[3], reply[4])

    async def bring(self, things: Sequence[Brought]) -> None:
        """Renew and end leases, empty buckets, add what was counted elsewhere. Raises RedisAway.

        Nothing to bring just asks whether the store is there.
        """
        for start in range(0, max(len(things), 1), BATCH):
            batch = things[start : start + BATCH]
            rows = [part for each in batch for part in (each.kind, 0, each.one, each.other)]
            await self._run([*FLEET_KEYS, FLEET_KEYS[0], *(each.key for each in batch)], ("bring", *rows))

    def known_charges(self) -> list[Brought]:
        """What the budgets that this gateway charged last had taken, for a store that lost its data."""
        return list(self._known.values())

    async def leave(self, gateway: str) -> None:
        """Say goodbye: the others need not do without this gateway's share. Raises RedisAway."""
        await self._run(FLEET_KEYS, ("leave", gateway))

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    # ---- inside

    async def _charge(self, claims: Sequence[Claim], reservation_id: str) -> Verdict:
        held = held_key(reservation_id) if reservation_id else FLEET_KEYS[0]
        keys = [*FLEET_KEYS, held, *map(claim_key, claims)]
        rows = [part for claim in claims for part in row_of(claim)]
        reply = await self._run(keys, ("charge", self.epoch, reservation_id, *rows))
        if reply[0] == b"lost":
            raise DataLost
        if reply[0] != b"decided":
            raise RedisAway("late")
        return read_verdict(claims, reply)

    def _remember(self, claim: BudgetClaim, unix_s: int, charged: int) -> None:
        thing = known_charge(claim, unix_s, max(charged, 0))
        self._known[thing.key] = thing
        self._known.move_to_end(thing.key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _known_charge(self, claim: BudgetClaim, unix_s: int) -> int:
        known = self._known.get(budget_key(claim, unix_s))
        return int(known.one) if known else 0

    async def _run(self, keys: Sequence[str], arguments: Sequence[Part]) -> list[Any]:
        reply = await self._link.run(self._script, keys, arguments)
        self.last_us = reply[1]
        return reply


def _reasons(claims: Iterable[Claim], left_out: frozenset[str]) -> tuple[str, ...]:
    return tuple(claim.reason for claim in claims if claim.name in left_out)
