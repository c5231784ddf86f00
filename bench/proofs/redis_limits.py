"""Several processes count limits in one real redis-server: as one would, in sequence; and what Redis' outages do.

(1) Four processes take, reserve and settle at once. Ordered by the server's times that the script returned, every
    answer is exactly what the store in memory gives in that order.
(2) Redis is killed, stopped, paused, emptied and out of memory under load: no decision takes longer than the
    time-out, the refusals are the configured mode's, and what was admitted keeps within burst + rate * W throughout.
"""

import asyncio
import itertools
import multiprocessing
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from redis.asyncio.connection import UnixDomainSocketConnection

from gateway.clock import SystemClock
from gateway.limits.budget_book import CREATE, BudgetBook
from gateway.limits.fallback_store import FallbackStore
from gateway.limits.memory_store import MemoryStore
from gateway.limits.redis_link import RedisLink
from gateway.limits.redis_store import RedisStore
from policies.errors import BeyondLimit, PolicyUnavailable, QuotaExceeded, RateLimited
from policies.limiting.limits import BudgetClaim, Claims, ConcurrencyClaim, RateClaim, Reservation, Used
from policies.limiting.rate_limit import Conforming, Rate, gcra
from tests.redis_server import RedisServer, redis_server

PROCESSES = 4
OPERATIONS = 25_000
HELD_AT_MOST = 8
BEAT_EVERY = 25
BEAT_AFTER_S = 0.5
"""However few operations there were since the last beat."""
SILENT_US = 2_900_000
"""A gateway that is silent for three seconds is absent and its share kept back: right, but not compared here."""
PATIENT_S = 30.0
TIMEOUT_S = 0.05
STALL_S = 0.010
"""What a busy machine may add to a time-out before the process runs again."""
OUTAGE_S = 6.0
LOAD_TASKS = 8
RATE = Rate(1_200, 40)


class Starved(Exception):
    """A racer had no processor for seconds, so that nothing can be compared: race again, or on a quieter machine."""


Step = tuple[int, str, Any, Any]
"""Server's microsecond, what was asked, with what, and what came."""


def prove() -> dict[str, object]:
    """The figures; raises AssertionError for an answer or a bound that is broken."""
    figures: dict[str, object] = {}
    with redis_server() as server:
        began_s = time.perf_counter()
        steps = race(server, PROCESSES, OPERATIONS)
        took_s = time.perf_counter() - began_s
        figures["race"] = {
            "processes": PROCESSES,
            "operations": len(steps),
            "differing": asyncio.run(differing(steps)),
            "operations_per_s": round(len(steps) / took_s),
        }
    print(figures["race"], flush=True)
    assert figures["race"]["differing"] == 0, figures  # type: ignore[index]
    for name, break_it, mend_it in OUTAGES:
        figures[name] = asyncio.run(_outage(break_it, mend_it))
        print(name, figures[name], flush=True)
    return figures


# ---- the race


def race(server: RedisServer, processes: int, operations: int) -> list[Step]:
    """What each of `processes` asked and was told, all together in the order of the server's times. Raises Starved."""
    server.ask("FLUSHALL")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        asked = [pool.submit(_race_alone, str(server.socket), seed, operations) for seed in range(processes)]
        steps = [step for each in asked for step in each.result()]
    steps.sort(key=lambda step: step[0])
    assert all(one[0] < other[0] for one, other in itertools.pairwise(steps)), "two scripts at one microsecond"
    return steps


async def differing(steps: Sequence[Step]) -> int:
    """How many answers differ from those of the store in memory, asked in this order."""
    clock = _StepClock()
    memory = MemoryStore(clock, memory_book())
    held: dict[str, Reservation] = {}
    wrong = 0
    for clock.now_us, kind, what, came in steps:
        if kind == "take":
            wrong += await outcome(memory.take(what)) != came
        elif kind == "reserve":
            reservation_id, claims = what
            found = await outcome(memory.reserve(claims))
            if isinstance(found, Reservation):
                held[reservation_id] = found
            wrong += _told(found) != came
        else:
            reservation_id, used = what
            await memory.settle(held.pop(reservation_id), used)
    await memory.close()
    return wrong


async def outcome(asked: Any) -> Any:
    """What a call gave: its answer, or its refusal in full."""
    try:
        return await asked
    except (RateLimited, QuotaExceeded) as refused:
        return type(refused).__name__, refused.reason, refused.limit, refused.retry_after_s
    except BeyondLimit as refused:
        return type(refused).__name__, refused.reason, refused.limit


def memory_book() -> BudgetBook:
    """Budgets without a file."""
    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    database.execute(CREATE)
    return BudgetBook(database, {})


def _told(found: Any) -> Any:
    """A reservation without its id, which is each store's own."""
    if isinstance(found, Reservation):
        return found.claims, found.would_refuse, found.standings, found.second
    return found


class _StepClock:
    """Stands at the server's time of the step in hand."""

    def __init__(self) -> None:
        self.now_us = 0

    def mono_ns(self) -> int:
        return self.now_us * 1000

    unix_ns = mono_ns


def _race_alone(socket: str, seed: int, operations: int) -> list[Step]:
    return asyncio.run(_race(socket, seed, operations))


async def _race(socket: str, seed: int, operations: int) -> list[Step]:
    chance, store = random.Random(seed), RedisStore(_link(socket, PATIENT_S))
    beaten_us, due_s = (await store.beat(f"racer-{seed}")).now_us, time.monotonic() + BEAT_AFTER_S
    steps: list[Step] = []
    held: list[Reservation] = []
    for number in range(operations):
        if number % BEAT_EVERY == 0 or time.monotonic() >= due_s:
            before_us, beaten_us = beaten_us, (await store.beat(f"racer-{seed}")).now_us
            due_s = time.monotonic() + BEAT_AFTER_S
            if beaten_us - before_us >= SILENT_US:
                raise Starved(f"racer {seed} was silent for {(beaten_us - before_us) / 1e6:.1f} s")
        if len(held) == HELD_AT_MOST or (held and chance.random() < 0.3):
            reservation, used = held.pop(0), Used(chance.randrange(60), chance.randrange(60))
            await store.settle(reservation, used)
            steps.append((store.last_us, "settle", (reservation.id, used), None))
        elif chance.random() < 0.4:
            claims = _requests(chance)
            came = await outcome(store.take(claims))
            steps.append((store.last_us, "take", claims, came))
        else:
            asked, reservation_id = _work(chance), store.next_id()
            came = await outcome(store.reserve(asked, reservation_id))
            steps.append((store.last_us, "reserve", (reservation_id, asked), _told(came)))
            if isinstance(came, Reservation):
                held.append(came)
    for reservation in held:
        await store.settle(reservation, Used())
        steps.append((store.last_us, "settle", (reservation.id, Used()), None))
    await store.leave(f"racer-{seed}")
    await store.close()
    return steps


def _requests(chance: random.Random) -> tuple[RateClaim, ...]:
    team, key = chance.choice("xyz"), chance.randrange(4)
    return (
        RateClaim(f"requests:key:{key}", Rate(6_000, 10)),
        RateClaim(f"requests:team:{team}", Rate(30_000, 50), report=team == "z"),
        RateClaim("requests:all", Rate(60_000, 100)),
    )


def _work(chance: random.Random) -> Claims:
    team, cost = chance.choice("xyz"), chance.randrange(1, 120)
    prompt = RateClaim(f"prompt_tokens:team:{team}", Rate(90_000, 90_000), cost, unit="prompt_tokens")
    output = RateClaim(f"output_tokens:team:{team}", Rate(5_000, 5_000), cost // 2, unit="output_tokens")
    places = (ConcurrencyClaim("concurrent:all", 20), ConcurrencyClaim(f"concurrent:team:{team}", 9))
    budget = BudgetClaim(f"day:team:{team}", 400_000, cost * 2, "day", report=team == "y")
    return Claims((prompt, output), places, (budget, BudgetClaim("month:all", 10**9, cost, "month")))


def _link(socket: str, timeout_s: float) -> RedisLink:
    return RedisLink(lambda: UnixDomainSocketConnection(path=socket, protocol=2, driver_info=None), timeout_s=timeout_s)


# ---- the outages


def _kill(server: RedisServer) -> None:
    server.kill()


def _start(server: RedisServer) -> None:
    server.start()


def _fill(server: RedisServer) -> None:
    server.ask("SET", "ballast", b"-" * 2_000_000)
    server.ask("CONFIG", "SET", "maxmemory", "1mb")


def _empty(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "64mb")


def _hold(server: RedisServer) -> None:
    server.ask("CLIENT", "PAUSE", int(OUTAGE_S * 1000))


def _lose(server: RedisServer) -> None:
    server.ask("FLUSHALL")


def _nothing(_server: RedisServer) -> None:
    """It mends itself."""


OUTAGES: tuple[tuple[str, Callable[[RedisServer], None], Callable[[RedisServer], None]], ...] = (
    ("killed", _kill, _start),
    ("stopped", RedisServer.pause, RedisServer.resume),
    ("paused", _hold, _nothing),
    ("emptied", _lose, _nothing),
    ("out_of_memory", _fill, _empty),
)


async def _outage(break_it: Callable[[RedisServer], None], mend_it: Callable[[RedisServer], None]) -> dict[str, object]:
    """Load before, while and after; the figures of all decisions."""
    with redis_server() as server:
        store = FallbackStore(
            RedisStore(_link(str(server.socket), TIMEOUT_S)), SystemClock(), "prover", "local", TIMEOUT_S
        )
        events: list[str] = []
        await store.start(lambda event, _: events.append(event))
        load = _Load(store)
        tasks = [asyncio.create_task(load.run()) for _ in range(LOAD_TASKS)]
        for act in (None, break_it, mend_it):
            if act is not None:
                await asyncio.to_thread(act, server)
            await asyncio.sleep(OUTAGE_S / (2 if act is None else 1))
        load.over = True
        await asyncio.gather(*tasks)
        reason = store.state().reason
        await store.close()
    within_bound(load.admitted_ns)
    slowest_ms = sorted(load.took_ms)[-3:]
    assert slowest_ms[-1] <= (TIMEOUT_S + STALL_S) * 1000 + load.stalled_ms, slowest_ms
    assert reason == "", reason
    assert events, "nothing was told"
    assert set(load.refusals) <= {"RateLimited", "PolicyUnavailable"}, load.refusals
    return {
        "decisions": len(load.took_ms),
        "admitted": len(load.admitted_ns),
        "slowest_ms": [round(each, 2) for each in slowest_ms],
        "longest_stall_ms": round(load.stalled_ms, 2),
        "refusals": dict(load.refusals),
        "switches": len(events),
    }


class _Load:
    """Asks all the time, and notes when it was let in and how long each decision took."""

    def __init__(self, store: FallbackStore) -> None:
        self._store = store
        self._claim = RateClaim("requests:team:t", RATE)
        self.over = False
        self.took_ms: list[float] = []
        self.admitted_ns: list[int] = []
        self.refusals: Counter[str] = Counter()
        self.stalled_ms = 0.0

    async def run(self) -> None:
        while not self.over:
            began_ns = time.monotonic_ns()
            try:
                await self._store.take((self._claim,))
                self.admitted_ns.append(time.monotonic_ns())
            except (RateLimited, PolicyUnavailable) as refused:
                self.refusals[type(refused).__name__] += 1
            self.took_ms.append((time.monotonic_ns() - began_ns) / 1e6)
            rest_ns = time.monotonic_ns()
            await asyncio.sleep(0.002)
            self.stalled_ms = max(self.stalled_ms, (time.monotonic_ns() - rest_ns) / 1e6 - 2.0)


def within_bound(admitted_ns: Iterable[int], rate: Rate = RATE) -> None:
    """Every window holds at most burst + rate * W, W lengthened by the time a reply may be under way."""
    slack = Rate(rate.per_minute, rate.burst + round(rate.per_minute / 60 * TIMEOUT_S) + 1)
    tat_ns: int | None = None
    for now_ns in sorted(admitted_ns):
        decision = gcra(slack, tat_ns, now_ns)
        assert isinstance(decision, Conforming), f"beyond the bound by {decision}"
        tat_ns = decision.tat_ns
