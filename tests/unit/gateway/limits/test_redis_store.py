"""The shared store: its script answers as the store in memory does, against a real server.

Sequences over hours run on a told clock (tests/told_redis.py); what four processes get at once, on the server's own,
stands in test_redis_race.py.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.proofs.redis_limits import memory_book, outcome
from gateway.limits.memory_store import MemoryStore
from gateway.limits.redis_link import RedisAway
from gateway.limits.redis_store import DataLost, RedisStore
from gateway.limits.store_keys import TAG, added, emptied, known_charge, lease, lease_end
from policies.errors import QuotaExceeded, RateLimited
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Reservation, Used
from policies.limiting.rate_limit import Rate
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import ToldClock, ToldLink, link_to


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@contextlib.asynccontextmanager
async def told_store(server: RedisServer) -> AsyncIterator[tuple[RedisStore, ToldClock]]:
    """An empty store that has been founded."""
    await asyncio.to_thread(server.ask, "FLUSHALL")
    clock = ToldClock()
    store = RedisStore(ToldLink(link_to(server), clock))  # type: ignore[arg-type]
    await store.beat("a")
    try:
        yield store, clock
    finally:
        await store.close()


# ---- the same answers as in memory

requests = st.builds(
    lambda name, rate, report: RateClaim(f"requests:{name}", rate, report=report),
    st.sampled_from("ab"),
    st.sampled_from([Rate(1, 1), Rate(7, 3), Rate(600, 60), Rate(1, 1440), Rate(10**9, 10**9)]),
    st.booleans(),
)
tokens = st.builds(
    lambda name, limit, cost, unit, report: RateClaim(
        f"{unit}:{name}", Rate(limit, limit), cost, unit=unit, report=report
    ),
    st.sampled_from("ab"),
    st.sampled_from([10, 1000, 10**9]),
    st.sampled_from([0, 1, 4, 10, 999, 10**9]),
    st.sampled_from(["prompt_tokens", "output_tokens"]),
    st.booleans(),
)
places = st.builds(
    lambda name, limit, report: ConcurrencyClaim(f"concurrent:{name}", limit, report=report),
    st.sampled_from("ab"),
    st.integers(1, 3),
    st.booleans(),
)
budgets = st.builds(
    lambda name, limit, cost, period, report: BudgetClaim(f"{period}:{name}", limit, cost, period, report=report),
    st.sampled_from("ab"),
    st.sampled_from([5, 1000, 10**12]),
    st.sampled_from([0, 1, 5, 600, 10**12]),
    st.sampled_from(["day", "month"]),
    st.booleans(),
)


def named_once(claims: Any, most: int) -> Any:
    return st.lists(claims, max_size=most, unique_by=lambda claim: claim.name).map(tuple)


acts = st.one_of(
    st.tuples(st.just("take"), named_once(requests, 3)),
    st.tuples(
        st.just("reserve"),
        st.builds(Claims, named_once(st.one_of(requests, tokens), 4), named_once(places, 2), named_once(budgets, 3)),
    ),
    st.tuples(
        st.just("look"),
        st.builds(Claims, named_once(st.one_of(requests, tokens), 4), named_once(places, 2), named_once(budgets, 3)),
    ),
    st.tuples(st.just("settle"), st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 3, 900]), st.integers(0, 5))),
    st.tuples(
        st.just("move"), st.sampled_from([1, 999, 10**6, 8 * 10**6, 61 * 10**6, 3600 * 10**6, -(10**6), -3600 * 10**6])
    ),
    st.tuples(st.just("move"), st.sampled_from([40 * 86400 * 10**6, 86399 * 10**6])),
)


class Both:
    """One sequence for two stores; every answer must be the same."""

    def __init__(self, shared: RedisStore, memory: MemoryStore, clock: ToldClock) -> None:
        self._shared, self._memory, self._clock = shared, memory, clock
        self._pairs: list[tuple[Reservation, Reservation]] = []

    async def act(self, kind: str, what: Any) -> None:
        await getattr(self, kind)(what)

    async def take(self, claims: tuple[RateClaim, ...]) -> None:
        assert await outcome(self._shared.take(claims)) == await outcome(self._memory.take(claims))

    async def reserve(self, claims: Claims) -> None:
        shared = await outcome(self._shared.reserve(claims, self._shared.next_id()))
        memory = await outcome(self._memory.reserve(claims))
        if isinstance(memory, Reservation):
            self._pairs.append((shared, memory))
            assert isinstance(shared, Reservation)
            shared, memory = (
                (each.claims, each.would_refuse, each.standings, each.second) for each in (shared, memory)
            )
        assert shared == memory

    async def look(self, claims: Claims) -> None:
        assert await self._shared.use(claims) == await self._memory.use(claims)

    async def settle(self, what: tuple[int, int, int]) -> None:
        if self._pairs:
            shared, memory = self._pairs[what[0] % len(self._pairs)]
            await self._shared.settle(shared, Used(what[1], what[2]))
            await self._memory.settle(memory, Used(what[1], what[2]))

    async def move(self, microseconds: int) -> None:
        """Time goes on, or is set back; the heartbeat renews what is held, as memory's holds."""
        self._clock.now_us += microseconds
        held = self._memory._held
        running = [(shared, memory) for shared, memory in self._pairs if memory.id in held]
        await self._shared.bring(
            [lease(each, shared.id) for shared, _ in running for each in shared.claims.concurrency]
        )
        await self._shared.beat("a")


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(acts, max_size=40))
def test_the_script_answers_as_memory_does(server: RedisServer, sequence: list[tuple[str, Any]]) -> None:
    async def play() -> None:
        async with told_store(server) as (shared, clock):
            memory = MemoryStore(clock, memory_book())
            both = Both(shared, memory, clock)
            for kind, what in sequence:
                await both.act(kind, what)
            await memory.close()

    asyncio.run(play())


# ---- what memory has not

A = RateClaim("requests:a", Rate(60, 3))
PROMPT = RateClaim("prompt_tokens:a", Rate(100, 100), 60, unit="prompt_tokens")
PLACE = ConcurrencyClaim("concurrent:a", 1)
DAY = BudgetClaim("day:a", 100, 60, "day")
ALL = Claims((A, PROMPT), (PLACE,), (DAY,))
SECOND = 10**6


async def test_a_dead_gateways_places_free_themselves_and_its_tokens_stay(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.reserve(Claims((PROMPT,), (PLACE,), (DAY,)), "dead")
        for _ in range(3):
            clock.now_us += 4 * SECOND
            with pytest.raises(RateLimited):
                await store.reserve(Claims((), (PLACE,)), "next")
        clock.now_us += 3 * SECOND
        await store.reserve(Claims((), (PLACE,)), "next")
        with pytest.raises(RateLimited):
            await store.take((PROMPT,))
        with pytest.raises(QuotaExceeded):
            await store.reserve(Claims(budgets=(DAY,)), "third")


async def test_a_renewed_lease_lasts_and_an_ended_one_does_not(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.reserve(Claims((), (PLACE,)), "long")
        for _ in range(4):
            clock.now_us += 12 * SECOND
            await store.bring([lease(PLACE, "long")])
        with pytest.raises(RateLimited):
            await store.reserve(Claims((), (PLACE,)), "next")
        await store.bring([lease_end(PLACE, "long")])
        await store.reserve(Claims((), (PLACE,)), "next")


async def test_a_clock_set_back_keeps_a_place_for_one_lease_at_most(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.reserve(Claims((), (PLACE,)), "dead")
        clock.now_us -= 3600 * SECOND
        with pytest.raises(RateLimited):
            await store.reserve(Claims((), (PLACE,)), "next")
        clock.now_us += 16 * SECOND
        await store.reserve(Claims((), (PLACE,)), "next")


async def test_a_tat_from_the_future_is_pulled_in(server: RedisServer) -> None:
    """A clock that jumped: nobody is locked out for longer than a full burst."""
    async with told_store(server) as (store, clock):
        future_us = clock.now_us + 3600 * SECOND
        await asyncio.to_thread(server.ask, "SET", f"{TAG}:{A.name}", f"{future_us} 7")
        with pytest.raises(RateLimited) as refused:
            await store.take((A,))
        assert refused.value.retry_after_s == 1.0
        clock.now_us += SECOND
        await store.take((A,))


async def test_what_comes_after_its_own_settling_holds_nothing(server: RedisServer) -> None:
    async with told_store(server) as (store, _):
        late = Reservation("late", Claims((), (PLACE,)))
        await store.settle(late, Used())
        with pytest.raises(RedisAway, match="late"):
            await store.reserve(Claims((), (PLACE,)), "late")
        await store.reserve(Claims((), (PLACE,)), "next")


async def test_what_was_counted_elsewhere_is_brought(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.bring([emptied(A), *added(PROMPT, {90: 30, 99: 20}, 100)])
        with pytest.raises(RateLimited):
            await store.take((A,))
        with pytest.raises(RateLimited) as refused:
            await store.take((PROMPT,))
        assert refused.value.retry_after_s == 61 - 10
        clock.now_us += 51 * SECOND
        await store.take((PROMPT,))
        await store.bring([known_charge(DAY, clock.now_us // SECOND, 50)])
        await store.bring([known_charge(DAY, clock.now_us // SECOND, 40)])
        with pytest.raises(QuotaExceeded):
            await store.reserve(Claims(budgets=(DAY,)), "next")


async def test_many_things_are_brought_in_parts(server: RedisServer) -> None:
    async with told_store(server) as (store, _):
        await store.bring([lease(ConcurrencyClaim(f"concurrent:{each}", 1), "one") for each in range(450)])
        with pytest.raises(RateLimited):
            await store.reserve(Claims((), (ConcurrencyClaim("concurrent:449", 1),)), "next")


async def test_a_store_that_lost_its_data_is_known_and_begins_empty(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.reserve(Claims(budgets=(DAY,)), "one")
        await asyncio.to_thread(server.ask, "FLUSHALL")
        with pytest.raises(DataLost):
            await store.take((A,))
        await store.beat("a")
        for claim in (A, PROMPT):
            with pytest.raises(RateLimited):
                await store.take((claim,))
        await store.bring(store.known_charges())
        with pytest.raises(QuotaExceeded):
            await store.reserve(Claims(budgets=(DAY,)), "two")
        clock.now_us += 61 * SECOND
        await store.take((A, PROMPT))


async def test_settling_lowers_what_is_remembered_of_a_budget(server: RedisServer) -> None:
    async with told_store(server) as (store, _):
        reservation = await store.reserve(Claims(budgets=(DAY,)), "one")
        await store.settle(reservation, Used(5, 6))
        assert [each.one for each in store.known_charges()] == [11]


async def test_a_gateway_that_is_silent_keeps_its_share_until_it_leaves(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        assert (await store.beat("b")).most == 2
        clock.now_us += 4 * SECOND
        beat = await store.beat("a")
        assert (beat.most, beat.present) == (2, 1)
        await store.take((A,))
        with pytest.raises(RateLimited) as refused:
            await store.take((A,))  # one of three places is left, and a request costs two
        assert refused.value.retry_after_s == 1.0
        await store.leave("b")
        await store.take((A,))
        assert (await store.beat("a")).most == 2  # the most of this hour
        clock.now_us += 3700 * SECOND
        assert (await store.beat("a")).most == 1


async def test_a_heartbeat_that_comes_too_late_does_not_count(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        with pytest.raises(RedisAway, match="stale_heartbeat"):
            await store.beat("b", not_after_us=clock.now_us - 1)
        assert (await store.beat("a", not_after_us=clock.now_us)).most == 1


async def test_every_key_ends(server: RedisServer) -> None:
    async with told_store(server) as (store, _):
        reservation = await store.reserve(ALL, "one")
        await store.settle(reservation, Used(1, 1))
        await store.reserve(Claims((), (PLACE,)), "two")
        keys = await asyncio.to_thread(server.ask, "KEYS", "*")
        assert len(keys) >= 9
        assert all(key.startswith(TAG.encode()) for key in keys)
        assert [key for key in keys if server.ask("PTTL", key) <= 0] == []


async def test_a_server_that_evicts_is_not_used() -> None:
    with redis_server("--maxmemory-policy", "volatile-lru") as server:
        store = RedisStore(link_to(server))
        with pytest.raises(RedisAway, match="store_evicts"):
            await store.beat("a")
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert (await store.beat("a")).most == 1
        await store.close()


async def test_looking_writes_nothing(server: RedisServer) -> None:
    async with told_store(server) as (store, clock):
        await store.reserve(ALL, "one")
        before = sorted(await asyncio.to_thread(server.ask, "KEYS", "*"))
        for _ in range(3):
            assert [use.used for use in await store.use(ALL)] == [1, 60, 1, 60]
        assert sorted(await asyncio.to_thread(server.ask, "KEYS", "*")) == before
        clock.now_us += 16 * SECOND
        assert [use.used for use in await store.use(ALL)] == [0, 60, 0, 60]  # a lease that was not renewed is over


async def test_a_store_that_lost_everything_tells_no_use(server: RedisServer) -> None:
    async with told_store(server) as (store, _):
        await asyncio.to_thread(server.ask, "FLUSHALL")
        with pytest.raises(RedisAway, match="data_lost"):
            await store.use(ALL)
        await store.beat("a")
        assert [use.used for use in await store.use(Claims((A, PROMPT)))] == [3, 100]
