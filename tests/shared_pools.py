"""Two gateways' queues in one process, one real redis-server, one pool that counts: the small proof and the full."""

import asyncio
import time
from random import Random
from typing import Any, Literal

from redis.asyncio.connection import UnixDomainSocketConnection

from gateway.clock import SystemClock
from gateway.limits.redis_link import RedisLink
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.queue_letters import Seal
from gateway.scheduling.redis_post import RedisPost
from gateway.scheduling.shared_queue import SharedQueue
from gateway.scheduling.shared_terms import Terms
from gateway.scheduling.ticket_mask import Mask
from tests.counted_pool import Asker, CountedPool
from tests.redis_server import RedisServer

PEPPER = b"p" * 32
SLOTS = 4
WEIGHTS = {"heavy": 3.0, "middle": 2.0, "light": 1.0}
LINK_TIMEOUT_S = 0.25


def shared_asker(server: RedisServer, pool: CountedPool, name: str, number: int) -> Asker:
    """A gateway of the shared queue, not yet started."""

    def connect() -> UnixDomainSocketConnection:
        return UnixDomainSocketConnection(path=str(server.socket), protocol=2, driver_info=None)

    asker = Asker(pool, time.monotonic, number << 41)
    post = RedisPost(RedisLink(connect, timeout_s=LINK_TIMEOUT_S), connect, name)
    terms = Terms(mask=Mask(PEPPER, name, "here", lambda target: f"{target}@here"), seal=Seal(PEPPER))
    told = asker.told
    asker.scheduler = SharedQueue(
        SystemClock(), asker.carry_out, post, terms, lambda event, details: told.append((event, details))
    )
    return asker


def lone_asker(pool: CountedPool) -> Asker:
    """The only gateway of a pool."""
    asker = Asker(pool, time.monotonic, 1 << 41)
    asker.scheduler = OwnQueue(SystemClock(), asker.carry_out)
    return asker


async def both(server: RedisServer, pool: CountedPool) -> tuple[Asker, Asker]:
    """One that decides and one that follows, both with the pool."""
    askers = shared_asker(server, pool, "one", 1), shared_asker(server, pool, "two", 2)
    for asker in askers:
        await asker.scheduler.start()
        asker.ready()
    await until(lambda: askers[1].scheduler.state().gateways == 2)
    return askers


async def until(holds: Any, seconds: float = 60.0) -> float:
    """Wait until `holds()`; how long it took. Raises AssertionError."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < seconds, "it did not come"
        await asyncio.sleep(0.005)
    return time.monotonic() - began_s


async def shares(server: RedisServer, *, requests: int, service_s: float, lone: bool = False) -> dict[str, Any]:
    """All teams always have work, through every gateway; each one's part of the slots' time, and what went wrong."""
    server.ask("FLUSHALL")
    pool = CountedPool(SLOTS)
    askers: tuple[Asker, ...] = (lone_asker(pool),) if lone else await both(server, pool)
    if lone:
        await askers[0].scheduler.start()
        askers[0].ready()
    left, finished, chance = requests, 0, Random(7)
    measured: dict[str, float] = {}

    async def caller(asker: Asker, team: str) -> None:
        nonlocal left, finished
        while left > 0:
            left -= 1
            if await asker.ask(team, service_s * chance.uniform(0.5, 1.5), weight=WEIGHTS[team]):
                finished += 1
            if left > 0:  # while every team still asks
                measured.update(pool.busy_s)

    callers = 24 // len(askers)
    began_s = time.monotonic()
    await asyncio.gather(
        *(caller(asker, team) for asker in askers for team in WEIGHTS for _ in range(callers // len(WEIGHTS)))
    )
    took_s = time.monotonic() - began_s
    for asker in askers:
        await asker.scheduler.close()
    total_s = sum(measured.values())
    return {
        "runs": sum(pool.ended.values()),
        "finished": finished,
        "twice": sum(runs > 1 for runs in pool.ended.values()),
        "over_slots": max(0, pool.most_busy - SLOTS),
        "slot_taken": pool.taken,
        "requests_per_s": round(finished / took_s, 1),
        "shares": {team: round(measured[team] / total_s, 4) for team in WEIGHTS},
    }


async def killed_midway(
    server: RedisServer, *, killed: Literal["deciding", "following"], requests: int, service_s: float
) -> dict[str, Any]:
    """One of two gateways ends without a word while both have work; what becomes of the other's requests."""
    server.ask("FLUSHALL")
    pool = CountedPool(SLOTS)
    first, second = await both(server, pool)
    dying, living = (first, second) if killed == "deciding" else (second, first)
    lost = [asyncio.create_task(dying.ask("dying", service_s)) for _ in range(requests)]
    asked = [asyncio.create_task(living.ask("living", service_s)) for _ in range(requests)]
    await until(lambda: sum(pool.ended.values()) >= requests // 5)
    await kill(dying, lost)
    died_s = time.monotonic()
    await until(lambda: living.scheduler.state().role == "deciding")
    decides_s = time.monotonic() - died_s
    await until(lambda: living.scheduler.view().running == len(pool.busy) == min(SLOTS, len(living.turns)))
    full_s = time.monotonic() - died_s
    finished = sum(await asyncio.gather(*asked))
    await living.scheduler.close()
    return {
        "asked_of_the_living": requests,
        "finished": finished,
        "twice": sum(runs > 1 for runs in pool.ended.values()),
        "over_slots": max(0, pool.most_busy - SLOTS),
        "slot_taken": pool.taken,
        "another_decides_after_s": round(decides_s, 3),
        "all_slots_used_after_s": round(full_s, 3),
    }


async def kill(asker: Asker, requests: "list[asyncio.Task[bool]]") -> None:
    """As SIGKILL does: nothing of it runs on, its connections close, and with them its work in the pool."""
    queue = asker.scheduler
    for task in (*queue._tasks, *requests):
        task.cancel()
    asker.tell = lambda _event: None  # type: ignore[method-assign,assignment]
    await asyncio.gather(*queue._tasks, *requests, return_exceptions=True)
    await queue._post.close()
