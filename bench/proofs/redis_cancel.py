"""Cancelled calls to a real redis-server: no reply reaches another caller (redis-py CVE-2023-28858 and -28859).

Each caller asks for something of its own; some are cancelled at every stage, connecting included, one in each round is
not. What a caller gets must be its own, and so must what the next callers get over whatever connections are left.
"""

import asyncio
import random
import time
from collections import Counter
from typing import Any

from gateway.limits.redis_link import RedisLink, Script
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import link_to

CALLS = 10_000
AT_ONCE = 40
LONGEST_WAIT_S = 0.008
PATIENT_S = 30.0
"""Of one caller a round, who is answered however slow the machine is."""
ECHO = Script("return { ARGV[1], KEYS[1], ARGV[2] }")


def prove() -> dict[str, object]:
    """The figures; raises AssertionError when a reply was somebody else's."""
    with redis_server() as server:
        began_s = time.perf_counter()
        counts = asyncio.run(cancel_calls(server, CALLS))
        took_s = time.perf_counter() - began_s
        leftover = server.ask("INFO", "clients")
    assert counts["foreign"] == 0, counts
    assert counts["cancelled"] >= CALLS, counts
    print(dict(counts), flush=True)
    return {**counts, "seconds": round(took_s, 1), "clients_left": leftover["connected_clients"]}


async def cancel_calls(server: RedisServer, cancelled: int) -> Counter[str]:
    """Calls until `cancelled` of them were; how many were cancelled, answered, and answered with another's reply."""
    link, chance, counts = link_to(server, max_connections=8), random.Random(1), Counter[str](foreign=0)
    while counts["cancelled"] < cancelled:
        names = [f"{counts['cancelled']}-{each}" for each in range(AT_ONCE)]
        waits = [PATIENT_S, *(chance.random() * LONGEST_WAIT_S for _ in names[1:])]
        await asyncio.gather(*(_call(link, name, wait_s, counts) for name, wait_s in zip(names, waits, strict=True)))
    await link.close()
    return counts


async def _call(link: RedisLink, name: str, patience_s: float, counts: Counter[str]) -> None:
    asking: asyncio.Task[list[Any]] = asyncio.create_task(link.run(ECHO, [name], [f"{name}!"]))
    await asyncio.wait({asking}, timeout=patience_s)
    if asking.cancel():
        await asyncio.gather(asking, return_exceptions=True)
        counts["cancelled"] += 1
        return
    counts["answered"] += 1
    counts["foreign"] += asking.result() != [name.encode(), f"{name}!".encode()]
