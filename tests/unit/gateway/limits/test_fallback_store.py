"""What holds while Redis is away, and that the bound holds through both switches.

The fleet below runs on one told clock with a real server; its heartbeats are taken by hand, at the times at which the
task would take them. What the task itself does is at the end, on the real clock.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.clock import SystemClock
from gateway.limits import fallback_store
from gateway.limits.fallback_store import BEAT_S, FallbackStore
from gateway.limits.redis_link import RedisAway
from gateway.limits.redis_store import RedisStore
from policies.errors import PolicyUnavailable, QuotaExceeded, RateLimited
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Taken, Used
from policies.limiting.rate_limit import Conforming, Rate, gcra
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import ToldClock, ToldLink, link_to

S = 10**6
TIMEOUT_S = 0.05
STEADY = Rate(60, 6)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


class Gateway:
    """One gateway of the fleet, with the way to Redis in our hands."""

    def __init__(self, server: RedisServer, clock: ToldClock, name: str, on_failure: Any = "local") -> None:
        self.link = ToldLink(link_to(server), clock)
        self.store = FallbackStore(RedisStore(self.link), clock, name, on_failure, TIMEOUT_S)  # type: ignore[arg-type]
        self.told: list[str] = []
        self.store._tell = lambda event, details: self.told.append(event)
        self._clock = clock
        self._next_us = 0

    async def beat_when_due(self) -> None:
        """What the heartbeat's task does, once a second."""
        if self._clock.now_us < self._next_us:
            return
        self._next_us = self._clock.now_us + round(BEAT_S * S)
        try:
            await (self.store._return() if self.store._reason else self.store._go_on(renew=True))
        except RedisAway as fault:
            self.store._failed(fault.reason)

    async def admits(self, *claims: RateClaim) -> bool:
        try:
            await self.store.take(claims)
        except (RateLimited, PolicyUnavailable):
            return False
        return True


class Fleet:
    """Gateways on one server that is empty at the start. Every gateway has met it."""

    def __init__(self, server: RedisServer, size: int, on_failure: Any = "local", rate: Rate = STEADY) -> None:
        server.ask("FLUSHALL")
        self.claim = RateClaim("requests:team:t", rate)
        self.bound = Bound(rate)
        self.hungry: tuple[int, ...] = ()
        self.server = server
        self.clock = ToldClock()
        self.gateways = [Gateway(server, self.clock, f"g{i}", on_failure) for i in range(size)]

    async def __aenter__(self) -> "Fleet":
        for _ in range(2):  # the first do not know the last yet
            await self.pass_us(S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.gateways:
            await each.link.close()

    async def pass_us(self, microseconds: int) -> None:
        """Time goes on; a heartbeat is late by a tenth of a second at the most. Who is hungry takes what it gets."""
        ends_us = self.clock.now_us + microseconds
        while self.clock.now_us < ends_us:
            self.clock.now_us = min(self.clock.now_us + S // 10, ends_us)
            for each in self.gateways:
                await each.beat_when_due()
            await self.eat()

    async def hungry_are(self, who: list[int]) -> None:
        self.hungry = tuple({each % len(self.gateways) for each in who})

    async def way(self, what: tuple[int, Any]) -> None:
        """Cut or open one gateway's way to Redis."""
        link = self.gateways[what[0] % len(self.gateways)].link
        link.way = what[1]
        if link.way == "open":
            await link.let_through()

    async def all_ways(self, way: Any) -> None:
        for who in range(len(self.gateways)):
            await self.way((who, way))

    async def lose(self, _: None = None) -> None:
        """All that was counted is gone."""
        self.server.ask("FLUSHALL")

    async def eat_once(self) -> None:
        """All of them ask until they are refused."""
        self.hungry = tuple(range(len(self.gateways)))
        await self.eat()
        self.hungry = ()

    async def eat(self) -> None:
        """Every hungry gateway asks until it is refused."""
        for each in [self.gateways[who] for who in self.hungry]:
            while await each.admits(self.claim):
                self.bound.admit(self.clock.mono_ns())


class Bound:
    """GCRA over all that was admitted, wherever: it conforms exactly when the bound holds in every window."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tat_ns: int | None = None
        self.admitted = 0

    def admit(self, now_ns: int) -> None:
        decision = gcra(self._rate, self._tat_ns, now_ns)
        assert isinstance(decision, Conforming), f"beyond the bound by {decision}"
        self._tat_ns = decision.tat_ns
        self.admitted += 1


WAYS = ["open", "cut", "mute", "held"]
moves = st.one_of(
    st.tuples(st.just("pass_us"), st.sampled_from([S // 20, S // 3, S, 2 * S, 5 * S, 12 * S])),
    st.tuples(st.just("pass_us"), st.sampled_from([5 * S, 12 * S])),
    st.tuples(st.just("hungry_are"), st.lists(st.integers(0, 2), max_size=3, unique=True)),
    st.tuples(st.just("way"), st.tuples(st.integers(0, 2), st.sampled_from(WAYS))),
    st.tuples(st.just("all_ways"), st.sampled_from(WAYS)),
    st.tuples(st.just("lose"), st.none()),
)


@settings(max_examples=100, phases=[Phase.reuse, Phase.generate, Phase.shrink])  # to explain takes a minute more
@given(
    size=st.integers(1, 3),
    rate=st.sampled_from([Rate(60, 6), Rate(300, 10), Rate(12, 4), Rate(30, 1)]),
    sequence=st.lists(moves, min_size=6, max_size=25),
)
@pytest.mark.slow
def test_the_bound_holds_through_both_switches(
    server: RedisServer, size: int, rate: Rate, sequence: list[tuple[str, Any]]
) -> None:
    """For any schedule of outages, of one gateway or all, with requests that arrive late or whose reply is lost."""

    async def play() -> None:
        async with Fleet(server, size, rate=rate) as fleet:
            fleet.hungry = tuple(range(size))
            for kind, what in sequence:
                await getattr(fleet, kind)(what)

    asyncio.run(play())


@pytest.mark.parametrize("size", [1, 2])
async def test_what_was_counted_here_is_not_there_again_on_return(server: RedisServer, size: int) -> None:
    """A bucket that lay full in Redis while its burst was used here: it is emptied before Redis is asked again."""
    async with Fleet(server, size, rate=Rate(60, 6)) as fleet:
        await fleet.all_ways("cut")
        await fleet.pass_us(S)
        for each in fleet.gateways:
            assert not await each.admits(fleet.claim)
        await fleet.pass_us(20 * S)
        await fleet.eat_once()
        assert fleet.bound.admitted == 6
        await fleet.all_ways("open")
        await fleet.pass_us(2 * S)
        await fleet.eat_once()
        assert 6 < fleet.bound.admitted <= 8
        assert {tuple(each.told) for each in fleet.gateways} == {("limits.degraded", "limits.restored")}


async def test_a_heartbeat_that_was_held_up_does_not_count_late(server: RedisServer) -> None:
    """One gateway counts on its own; its old heartbeat must not give Redis its share back."""
    async with Fleet(server, 2, rate=Rate(60, 6)) as fleet:
        await fleet.way((0, "held"))
        fleet.hungry = (0, 1)
        await fleet.pass_us(20 * S)
        fleet.gateways[0].link.way = "cut"
        await fleet.gateways[0].link.let_through()
        await fleet.pass_us(20 * S)
        assert fleet.gateways[1].store.state().present == 1
        assert fleet.bound.admitted >= 35


# ---- one outage, every kind of claim

PROMPT = RateClaim("prompt_tokens:a", Rate(100, 100), 40, unit="prompt_tokens")
PLACES = ConcurrencyClaim("concurrent:a", 4)
DAY = BudgetClaim("day:a", 100, 60, "day")


def as_report(claim: Any) -> Any:
    return structs.replace(claim, report=True)


async def test_closed_refuses_what_is_limited_and_nothing_else(server: RedisServer) -> None:
    async with Fleet(server, 1, "closed") as fleet:
        store = fleet.gateways[0].store
        await fleet.all_ways("cut")
        with pytest.raises(PolicyUnavailable, match="limits_away"):
            await store.take((fleet.claim,))
        with pytest.raises(PolicyUnavailable, match="limits_away"):
            await store.reserve(Claims((), (PLACES,)))
        assert await store.take(()) == Taken()
        assert await store.take((as_report(fleet.claim),)) == Taken()
        assert (await store.reserve(Claims())).claims == Claims()
        assert (await store.reserve(Claims(budgets=(as_report(DAY),)))).claims == Claims()


async def test_unsafe_open_limits_nothing_meanwhile(server: RedisServer) -> None:
    async with Fleet(server, 1, "unsafe_open", Rate(1, 1)) as fleet:
        store = fleet.gateways[0].store
        await fleet.all_ways("cut")
        for _ in range(5):
            await store.take((fleet.claim,))
            reservation = await store.reserve(Claims((PROMPT,), (PLACES,), (DAY,)))
        await store.settle(reservation, Used())


async def test_istio_12115_an_outage_of_the_limiter_does_not_refuse_everybody(server: RedisServer) -> None:
    async with Fleet(server, 1, "local", Rate(60, 6)) as fleet:
        await fleet.all_ways("cut")
        await fleet.gateways[0].admits(fleet.claim)  # notices the outage; from here on counted alone, from empty
        admitted = 0
        for _ in range(12):
            await fleet.pass_us(S)
            admitted += await fleet.gateways[0].admits(fleet.claim)
        assert admitted >= 6


async def test_local_refuses_budgets(server: RedisServer) -> None:
    async with Fleet(server, 1) as fleet:
        store = fleet.gateways[0].store
        await fleet.all_ways("cut")
        with pytest.raises(PolicyUnavailable, match="budgets_away"):
            await store.reserve(Claims(budgets=(DAY,)))
        reported = await store.reserve(Claims((), (PLACES,), (as_report(DAY),)))
        assert reported.claims == Claims((), (PLACES,))


async def test_local_places_are_this_gateways_share_of_what_it_holds_already(server: RedisServer) -> None:
    async with Fleet(server, 2) as fleet:
        one, other = (each.store for each in fleet.gateways)
        before = [await one.reserve(Claims((), (PLACES,))), await other.reserve(Claims((), (PLACES,)))]
        await fleet.all_ways("cut")
        await fleet.pass_us(S)
        here = await one.reserve(Claims((), (PLACES,)))
        with pytest.raises(RateLimited):
            await one.reserve(Claims((), (PLACES,)))
        told = await one.reserve(Claims((), (as_report(PLACES), ConcurrencyClaim("concurrent:b", 1))))
        assert told.would_refuse == ("concurrency_limited_key",)
        await fleet.all_ways("open")
        await fleet.pass_us(S)
        await other.reserve(Claims((), (PLACES,)))
        with pytest.raises(RateLimited):  # the place taken here is written there
            await other.reserve(Claims((), (PLACES,)))
        await one.settle(here, Used())
        await one.settle(here, Used())
        await other.settle(before[1], Used())
        for _ in range(2):
            await other.reserve(Claims((), (PLACES,)))
        with pytest.raises(RateLimited):
            await one.reserve(Claims((), (PLACES,)))


async def test_local_tokens_begin_used_up_and_are_told_on_return(server: RedisServer) -> None:
    async with Fleet(server, 1) as fleet:
        store = fleet.gateways[0].store
        await fleet.all_ways("cut")
        with pytest.raises(RateLimited):
            await store.reserve(Claims((PROMPT,)))
        await fleet.pass_us(62 * S)
        held = [await store.reserve(Claims((PROMPT,))), await store.reserve(Claims((PROMPT,)))]
        with pytest.raises(RateLimited):
            await store.reserve(Claims((PROMPT,)))
        await store.settle(held[0], Used(5, 0))
        await fleet.all_ways("open")
        await fleet.pass_us(S)
        with pytest.raises(RateLimited) as refused:  # 45 are charged there now, and 60 more do not fit
            await store.reserve(Claims((structs.replace(PROMPT, cost=60),)))
        assert refused.value.retry_after_s > 50
        await store.reserve(Claims((PROMPT,)))


async def test_what_could_not_be_settled_is_settled_on_return(server: RedisServer) -> None:
    async with Fleet(server, 1) as fleet:
        store = fleet.gateways[0].store
        held = await store.reserve(Claims((), (PLACES,), (DAY,)))
        await fleet.all_ways("cut")
        await store.settle(held, Used(3, 4))
        await store.settle(held, Used(3, 4))
        assert store.state().owed == 1
        await fleet.all_ways("open")
        await fleet.pass_us(S)
        assert store.state().owed == 0
        await store.reserve(Claims((), (PLACES,), (DAY,)))


async def test_a_reservation_in_doubt_holds_nothing(server: RedisServer) -> None:
    """The reply was lost: it is held there, but nobody here knows; the settling that is owed ends it."""
    async with Fleet(server, 1, "closed") as fleet:
        store = fleet.gateways[0].store
        await fleet.all_ways("mute")
        with pytest.raises(PolicyUnavailable):
            await store.reserve(Claims((), (ConcurrencyClaim("concurrent:x", 1),), (DAY,)))
        await fleet.all_ways("open")
        await fleet.pass_us(S)
        await store.reserve(Claims((), (ConcurrencyClaim("concurrent:x", 1),), (DAY,)))


async def test_nothing_is_charged_where_all_is_lost_between_two_heartbeats(server: RedisServer) -> None:
    async with Fleet(server, 1, rate=Rate(60, 6)) as fleet:
        gateway = fleet.gateways[0]
        held = await gateway.store.reserve(Claims((), (PLACES,), (DAY,)))
        await fleet.lose()
        assert not await gateway.admits(fleet.claim)
        await fleet.pass_us(S)
        assert gateway.told == ["limits.degraded", "limits.restored"]
        with pytest.raises(QuotaExceeded):  # what was charged is remembered here, and was told again
            await gateway.store.reserve(Claims(budgets=(DAY,)))
        await gateway.store.settle(held, Used())


async def test_a_gateway_that_never_met_redis_refuses_what_is_limited(server: RedisServer) -> None:
    gateway = Gateway(server, ToldClock(), "new")
    gateway.link.way = "cut"
    told: list[str] = []
    await gateway.store.start(lambda event, _: told.append(event))
    assert not await gateway.admits(RateClaim("requests:a", STEADY))
    assert gateway.store.state().gateways == 0
    await gateway.store.close()
    assert told == ["limits.degraded"]
    assert not gateway.store.keeping


async def test_a_jump_of_the_servers_clock_costs_one_more_heartbeat(server: RedisServer) -> None:
    async with Fleet(server, 1) as fleet:
        server_clock = ToldClock()
        server_clock.now_us = fleet.clock.now_us + 3600 * S
        fleet.gateways[0].link._clock = server_clock
        await fleet.pass_us(2 * S)
        assert fleet.gateways[0].told == []
        await fleet.gateways[0].store.take((fleet.claim,))


# ---- the heartbeat itself, on the real clock


async def test_the_heartbeat_finds_redis_again_and_says_so() -> None:
    """Killed and started again, empty: told twice, and the rest is as before."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    with redis_server() as server:
        store = FallbackStore(RedisStore(link_to(server, 30.0)), SystemClock(), "g", "local", 30.0)
        await store.start(lambda event, _: heard.put_nowait(event))
        held = await store.reserve(Claims((), (PLACES,)))
        server.kill()
        await store.settle(held, Used())
        assert await asyncio.wait_for(heard.get(), 30) == "limits.degraded"
        server.start()
        assert await asyncio.wait_for(heard.get(), 30) == "limits.restored"
        assert store.keeping
        assert store.state().present == 1
        await store.reserve(Claims((), (PLACES,)))
        await store.close()
        assert server.ask("ZCARD", "{corral}:gateways") == 0


async def test_a_cancelled_reservation_is_given_back() -> None:
    with redis_server() as server:
        store = FallbackStore(RedisStore(link_to(server, 30.0)), SystemClock(), "g", "local", 30.0)
        await store.start(lambda _event, _details: None)
        one = Claims((), (ConcurrencyClaim("concurrent:x", 1),))
        server.pause()
        asking = asyncio.create_task(store.reserve(one))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        server.resume()
        while store.state().owed:  # noqa: ASYNC110 (the heartbeat's work, seen from outside)
            await asyncio.sleep(0.01)
        await store.reserve(one)
        await store.close()


async def test_no_memory_left_is_away_until_there_is() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    with redis_server() as server:
        store = FallbackStore(RedisStore(link_to(server, 30.0)), SystemClock(), "g", "closed", 30.0)
        await store.start(lambda event, _: heard.put_nowait(event))
        server.ask("SET", "ballast", b"-" * 2_000_000)
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(PolicyUnavailable):
            await store.take((PROMPT,))
        assert store.state().reason == "out_of_memory"
        assert await heard.get() == "limits.degraded"
        server.ask("CONFIG", "SET", "maxmemory", "64mb")
        assert await asyncio.wait_for(heard.get(), 30) == "limits.restored"
        await store.take((PROMPT,))
        await store.close()


async def test_the_heartbeat_itself_notices_that_redis_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for anything, and leases are renewed while it is there."""
    monkeypatch.setattr(fallback_store, "BEAT_S", 0.01)
    heard: asyncio.Queue[str] = asyncio.Queue()
    with redis_server() as server:
        store = FallbackStore(RedisStore(link_to(server, 30.0)), SystemClock(), "g", "local", 30.0)
        await store.start(lambda event, _: heard.put_nowait(event))
        await store.reserve(Claims((), (PLACES,)))
        await asyncio.to_thread(server.ask, "DEL", "{corral}:concurrent:a")
        while not await asyncio.to_thread(server.ask, "EXISTS", "{corral}:concurrent:a"):
            assert store.keeping
        server.kill()
        assert await asyncio.wait_for(heard.get(), 30) == "limits.degraded"
        await store.close()


async def test_a_lease_that_was_settled_while_it_was_renewed_is_ended(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Fleet(server, 1) as fleet:
        store = fleet.gateways[0].store
        one = Claims((), (ConcurrencyClaim("concurrent:x", 1),))
        held = await store.reserve(one)
        bring, brought = store._redis.bring, []

        async def slow_bring(things: Any) -> None:
            brought.append(things)
            if len(brought) == 1:
                await store.settle(held, Used())
            await bring(things)

        monkeypatch.setattr(store._redis, "bring", slow_bring)
        await store._go_on(renew=True)
        assert [each[0].kind for each in brought] == ["c", "x"]
        await store.reserve(one)


@pytest.mark.parametrize(("on_failure", "refuses"), [("local", False), ("closed", True), ("unsafe_open", False)])
async def test_whether_it_refuses_whatever_is_limited(server: RedisServer, on_failure: Any, refuses: bool) -> None:
    async with Fleet(server, 1, on_failure) as fleet:
        [gateway] = fleet.gateways
        assert gateway.store.refuses == ""
        await fleet.all_ways("cut")
        await fleet.pass_us(2 * S)
        assert gateway.store.state().reason
        assert bool(gateway.store.refuses) is refuses


@pytest.mark.parametrize(("on_failure", "refuses"), [("local", "not_met"), ("closed", "not_met"), ("unsafe_open", "")])
async def test_one_that_never_met_redis_refuses(server: RedisServer, on_failure: Any, refuses: str) -> None:
    gateway = Gateway(server, ToldClock(), "g", on_failure)
    assert gateway.store.refuses == refuses
    await gateway.link.close()


async def test_whoever_looks_is_told_that_the_store_is_away_and_degrades_nothing(server: RedisServer) -> None:
    async with Fleet(server, 1, "local") as fleet:
        store = fleet.gateways[0].store
        assert [use.used for use in await store.use(Claims((fleet.claim,)))] == [0]
        assert await store.use(Claims()) == ()
        await fleet.all_ways("cut")
        with pytest.raises(PolicyUnavailable, match="limits_away"):
            await store.use(Claims((fleet.claim,)))
        assert store.state().reason == ""
        await fleet.pass_us(2 * S)
        assert store.state().reason
        with pytest.raises(PolicyUnavailable, match="limits_away"):
            await store.use(Claims((fleet.claim,)))
