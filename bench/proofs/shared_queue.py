"""Several gateways, one queue over one real redis-server.

(1) What it costs a request on an idle pool: through the gateway that decides, through another with slots lent to it,
    and through another that has to ask.
(2) Three teams of weights 3, 2 and 1 that always have work: their shares through two gateways are those of one.
(3) One of two gateways ends without a word: how long until another decides and every slot is used.
(4) The same with real processes, a real worker and the real model: of two gateways one is killed (SIGKILL) while all
    slots run and requests wait. The other's finish, each once; the worker has ended and cancelled all it has started.
(5) The gateway that decides is stopped (SIGSTOP) for three leases and goes on: every request is answered, each once.
"""

import asyncio
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

from gateway.scheduling.redis_post import LEASE_S
from policies.admitting.events import BandsChanged
from policies.admitting.ticket import BandTerms
from tests.counted_pool import Asker, CountedPool
from tests.e2e.conftest import MODEL_FILE
from tests.e2e.serving import MODEL, Corral, end, started, until
from tests.redis_server import RedisServer, redis_server
from tests.shared_pools import SLOTS, both, killed_midway, shares

IDLE_REQUESTS = 1000
SHARE_REQUESTS = 12_000
SERVICE_S = 0.02
KILL_REQUESTS = 400
POINTS = 0.03
TARGET = "pool:worker-0"
ENGINE = {"slots": 2, "context_tokens": 512, "embeddings": False}
CALLERS = 24
BETWEEN_S = 0.05
ROUNDS = 5
ANSWER_TOKENS = 48
KILL_WITHIN_S = 180.0
LEASES_WITHIN_S = 2.5


def prove() -> dict[str, object]:
    """The figures; raises AssertionError for what went wrong."""
    figures: dict[str, object] = {}
    with redis_server() as server:
        for name, prove_it in (("idle", _idle), ("shares", _shares), ("killed", _killed_midway)):
            figures[name] = found = prove_it(server)
            print(name, found, flush=True)
        for who in ("deciding", "following"):
            figures[f"processes_{who}_killed"] = found = killed_with_work(server, who)
            print(who, found, flush=True)
            assert found["gone_from_the_queue_after_s"] <= LEASES_WITHIN_S, found
        figures["processes_deciding_stopped"] = found = _processes(server, _stop_one)
        print("stopped", found, flush=True)
    return figures


# ---- what it costs


def _idle(server: RedisServer) -> dict[str, Any]:
    server.ask("FLUSHALL")
    return asyncio.run(_waits_of_all(server))


async def _waits_of_all(server: RedisServer) -> dict[str, Any]:
    pool = CountedPool(SLOTS)
    first, second = await both(server, pool)
    await asyncio.sleep(1.0)  # the first slots are lent with the next letter
    found = {"deciding_ms": await _waits(first), "lent_ms": await _waits(second)}
    for asker in (first, second):
        asker.tell(BandsChanged((BandTerms("", 1.0, lends=False),)))  # then nothing is lent
    await asyncio.sleep(1.0)
    found["asking_ms"] = await _waits(second)
    for asker in (second, first):
        await asker.scheduler.close()
    assert found["lent_ms"]["p50"] < found["asking_ms"]["p50"], found
    return found


async def _waits(asker: Asker) -> dict[str, float]:
    asker.waits_s.clear()
    for _ in range(IDLE_REQUESTS):
        await asker.ask("t", 0.002)
    waits_ms = sorted(each * 1000 for each in asker.waits_s)
    return {"p50": round(waits_ms[len(waits_ms) // 2], 3), "p99": round(waits_ms[len(waits_ms) * 99 // 100], 3)}


# ---- shares, and an end without a word


def _shares(server: RedisServer) -> dict[str, Any]:
    one = asyncio.run(shares(server, requests=SHARE_REQUESTS, service_s=SERVICE_S, lone=True))
    two = asyncio.run(shares(server, requests=SHARE_REQUESTS, service_s=SERVICE_S))
    for found in (one, two):
        assert found["runs"] == found["finished"] == SHARE_REQUESTS, found
        assert found["twice"] == found["over_slots"] == 0, found
    apart = {team: round(abs(two["shares"][team] - share), 4) for team, share in one["shares"].items()}
    assert max(apart.values()) <= POINTS, (one, two)
    return {"one_gateway": one, "two_gateways": two, "apart": apart}


def _killed_midway(server: RedisServer) -> dict[str, Any]:
    return {"deciding": _killed(server, "deciding"), "following": _killed(server, "following")}


def _killed(server: RedisServer, who: Literal["deciding", "following"]) -> dict[str, Any]:
    found = asyncio.run(killed_midway(server, killed=who, requests=KILL_REQUESTS, service_s=SERVICE_S))
    assert found["finished"] == found["asked_of_the_living"], found
    assert found["twice"] == found["over_slots"] == 0, found
    assert found["all_slots_used_after_s"] <= LEASES_WITHIN_S, found
    return found


# ---- real processes


def killed_with_work(server: RedisServer, who: str) -> dict[str, Any]:
    """As `_processes`, until the one killed had requests in the worker: which runs what is not ours to choose."""
    for _ in range(ROUNDS):
        found = _processes(server, lambda corral, server: _kill_one(corral, server, who))
        if found["cancelled"]:
            return found
        print("nothing of it ran, again", found, flush=True)
    raise AssertionError(f"in {ROUNDS} rounds the gateway killed ran nothing")


def _processes(server: RedisServer, happen: Callable[[Corral, RedisServer], dict[str, Any]]) -> dict[str, Any]:
    """What happens to two gateway processes while both slots run and requests wait."""
    server.ask("FLUSHALL")
    with tempfile.TemporaryDirectory(prefix="corral-shared-") as folder:
        config = {"engine": ENGINE, "gateway": {"processes": 2}, "store": {"url": server.url}}
        made = Corral(Path(folder), **config).make(MODEL_FILE.resolve())
        assert made.metrics_key, "made before the start: both processes know it, neither takes it for a guess"
        with started(made) as corral:
            assert until(lambda: len(_present(server)) == 2), _present(server)
            warm = corral.request("POST", "/api/generate", _body(0))
            assert warm[0] == 200, warm
            assert until(lambda: all(TARGET in corral.worker_totals() for _ in range(20))), "both know the worker"
            return happen(corral, server)


def _kill_one(corral: Corral, server: RedisServer, who: str) -> dict[str, Any]:
    before = corral.counters()[TARGET]
    callers = _Callers(corral)
    assert until(lambda: callers.finished >= 2, KILL_WITHIN_S), callers.outcomes
    dying, name = _process_of(corral, server, who)
    end(dying)
    died_s = time.monotonic()
    assert until(lambda: corral.counters()[TARGET]["cancelled"] > before["cancelled"] or callers.broken_early())
    freed_s = time.monotonic() - died_s
    assert until(lambda: name not in _present(server) and _holder(server) not in ("", name)), _present(server)
    left_s = time.monotonic() - died_s
    callers.join()
    assert until(lambda: corral.counters()[TARGET]["busy_slots"] == 0)
    after = corral.counters()[TARGET]
    done = {key: int(after[key] - before[key]) for key in ("started", "ended", "cancelled")}
    found = {
        **done,
        "answered": callers.finished,
        "lost_with_the_gateway": callers.lost,
        "other_outcomes": callers.others(),
        "slots_freed_after_s": round(freed_s, 3),
        "gone_from_the_queue_after_s": round(left_s, 3),
    }
    assert callers.finished + callers.lost == CALLERS, found
    assert done["started"] == done["ended"] + done["cancelled"], found
    assert callers.finished <= done["ended"] <= callers.finished + int(ENGINE["slots"]), found
    return found


def _stop_one(corral: Corral, server: RedisServer) -> dict[str, Any]:
    before = corral.counters()[TARGET]
    callers = _Callers(corral)
    assert until(lambda: callers.finished >= 2, KILL_WITHIN_S), callers.outcomes
    stopped, name = _process_of(corral, server, "deciding")
    os.kill(stopped, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        assert until(lambda: _holder(server) not in ("", name)), "nobody followed"
        followed_s = time.monotonic() - began_s
        time.sleep(max(0.0, 3 * LEASE_S - followed_s))
        meanwhile = callers.finished
    finally:
        os.kill(stopped, signal.SIGCONT)
    callers.join()
    assert until(lambda: corral.counters()[TARGET]["busy_slots"] == 0)
    after = corral.counters()[TARGET]
    done = {key: int(after[key] - before[key]) for key in ("started", "ended", "cancelled")}
    found = {**done, "answered": callers.finished, "another_decides_after_s": round(followed_s, 3)}
    found |= {"answered_while_it_stood_still": meanwhile, "other_outcomes": callers.others()}
    assert callers.finished == CALLERS == done["ended"] == done["started"], found
    return found


class _Callers:
    """People who each ask once, each over a connection of their own."""

    def __init__(self, corral: Corral) -> None:
        self._corral = corral
        self.outcomes: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(1, CALLERS + 1)]
        for thread in self._threads:
            thread.start()
            time.sleep(BETWEEN_S)

    def _ask(self, number: int) -> None:
        try:
            status, _ = self._corral.request("POST", "/api/generate", _body(number))
        except (OSError, HTTPException):
            self.outcomes.append("lost")
        else:
            self.outcomes.append(str(status))

    def join(self) -> None:
        for thread in self._threads:
            thread.join(KILL_WITHIN_S)
            assert not thread.is_alive(), self.outcomes

    @property
    def finished(self) -> int:
        return self.outcomes.count("200")

    @property
    def lost(self) -> int:
        return self.outcomes.count("lost")

    def others(self) -> list[str]:
        return [each for each in self.outcomes if each not in ("200", "lost")]

    def broken_early(self) -> bool:
        """The dying gateway had nothing in the worker."""
        return self.lost > 0


def _body(number: int) -> dict[str, Any]:
    prompt = f"Story number {number}: once upon a time"
    options = {"temperature": 0, "num_predict": ANSWER_TOKENS}
    return {"model": MODEL, "prompt": prompt, "raw": True, "stream": False, "options": options}


def _process_of(corral: Corral, server: RedisServer, who: str) -> tuple[int, str]:
    """Pid and name of the gateway that decides, or of the other."""
    holder = _holder(server)
    name = holder if who == "deciding" else next(each for each in _present(server) if each != holder)
    for place in sorted((corral.home / "audit").iterdir()):
        if name.startswith(f"{place.name}-"):
            return next(pid for pid in corral.children("gateway.process") if _holds(pid, place)), name
    raise AssertionError(f"no process is {name}: {json.dumps(_present(server))}")


def _holds(pid: int, place: Path) -> bool:
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return any(os.path.realpath(each) == str((place / "lock").resolve()) for each in descriptors)


def _holder(server: RedisServer) -> str:
    held = server.ask("GET", "{corral}:queue:lease") or b""
    return str(held.decode().partition(" ")[2])


def _present(server: RedisServer) -> list[str]:
    return [name.decode() for name in server.ask("ZRANGE", "{corral}:queue:gateways", 0, -1)]
