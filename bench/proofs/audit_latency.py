"""What the audit log adds to a request at 500 requests a second, beside one group commit of this disk.

The log as the gateway opens it (signed checkpoints, segments that end and are compressed beside it) on the disk of this
checkout. First lone commits, one after the other: what the disk takes for one. Then requests come at random, 500 a
second on average; each hands over its `authorized` record, waits in a queue or not, waits for what is left of the
record, and at its end for the `completed` one. Told are both waits, and that of a request that had queued.
Must hold: the median wait for a record is at most `MOST_COMMITS` lone commits: it finds one under way, on average half
done, then shares the next; and both are longer than a lone one, by their records and by what else the process does. The
99th percentile is at most `MOST_TAIL` of them: checkpoints, heads and new segments are synced in between.
"""

import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_keeping import AuditKeeping
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.disk_guard import DiskGuard
from gateway.audit.hold_book import HoldBook
from gateway.audit.recording import Recording
from gateway.audit.segment_keeper import SegmentKeeper
from gateway.audit.signed_log import sign_log
from policies.audit_record import (
    Action,
    Actor,
    Decision,
    Entry,
    RequestFacts,
    Result,
    Source,
    request_record,
)
from policies.auditing.refusal_sampling import RefusalSampling

PER_S = 500
SECONDS = 30.0
LONE = 500
QUEUED_S = 0.02
MOST_COMMITS = 2.5
MOST_TAIL = 12.0
PLACE = Path(__file__).resolve().parents[2]
FACTS = RequestFacts(
    request_id="0190a5f0-0000-7000-8000-000000000000",
    source=Source(ip="192.0.2.7", peer="192.0.2.7", listener="public", tls_version="TLSv1.3"),
    action=Action(verb="POST", route="/api/chat", model="smollm2:135m", model_digest="d" * 64),
    actor=Actor(kind="key", name="anna", team="default", key_id="0123456789ab", method="api_key"),
)
ALLOWED = Decision(effect="allow", policy_hash="p" * 64)
SERVED = Result(status=200, prompt_tokens=40, output_tokens=60, ttft_ms=12.0, dur_ms=900.0, finish="stop")


def prove(seconds: float = SECONDS) -> dict[str, Any]:
    """The figures. Raises AssertionError when a record waits for more commits than it should."""
    figures = uvloop.run(measure(seconds))
    lone, waits = figures["lone_commit_ms"], figures["completed_ms"]
    for name, most in (("p50", MOST_COMMITS), ("p99", MOST_TAIL)):
        assert waits[name] <= most * lone["p50"], f"{name} of waits {waits[name]} ms, a commit takes {lone['p50']}"
    return figures


async def measure(seconds: float, lone: int = LONE) -> dict[str, Any]:
    """The figures alone."""
    with tempfile.TemporaryDirectory(dir=PLACE, prefix=".audit-latency-") as folder:
        home = Path(folder)
        chain = home / "audit" / "bench-0"
        chain.mkdir(parents=True)
        log = AuditLog.open(chain, node="bench", segment_bytes=4 * 1024 * 1024)
        sign_log(log, chain)
        log.watch(DiskGuard(chain, RealDisk(), 65536))
        keeper = SegmentKeeper(chain, RealDisk(), lambda: log.writer.open_from, lambda: log.writer.closed)
        keeping = AuditKeeping(log, keeper, HoldBook(home / "audit"), 400, RefusalSampling(60))
        running = asyncio.create_task(keeping.run())
        try:
            alone = [await _lone(log) for _ in range(lone)]
            load = _Load(log)
            began = time.perf_counter()
            await load.run(seconds)
            took = time.perf_counter() - began
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await log.close()
    return {
        "requests": len(load.completed),
        "per_second": round(len(load.completed) / took, 1),
        "lone_commit_ms": _told(alone),
        "authorized_without_queue_ms": _told(load.authorized),
        f"authorized_after_{QUEUED_S * 1000:.0f}_ms_of_queue_ms": _told(load.queued),
        "completed_ms": _told(load.completed),
    }


class _Load:
    """Requests at random, and what each waited for, in seconds."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._chance = random.Random(3)
        self.authorized: list[float] = []
        self.queued: list[float] = []
        self.completed: list[float] = []

    async def run(self, seconds: float) -> None:
        """Open loop: they come whether or not the log keeps up."""
        async with asyncio.TaskGroup() as requests:
            due, end = time.perf_counter(), time.perf_counter() + seconds
            while due < end:
                due += self._chance.expovariate(PER_S)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                requests.create_task(self._request(queues=self._chance.random() < 0.5))

    async def _request(self, *, queues: bool) -> None:
        recording = Recording(self._log.submit(_record("request.authorized")))
        if queues:
            await asyncio.sleep(QUEUED_S)
        began = time.perf_counter()
        await recording.lasting()
        (self.queued if queues else self.authorized).append(time.perf_counter() - began)
        await asyncio.sleep(QUEUED_S)
        began = time.perf_counter()
        await Recording(self._log.submit(_record("request.completed", SERVED))).lasting()
        self.completed.append(time.perf_counter() - began)


async def _lone(log: AuditLog) -> float:
    began = time.perf_counter()
    await log.record(_record("request.completed", SERVED))
    return time.perf_counter() - began


def _record(event: str, result: Result | None = None) -> Entry:
    return request_record(event, stamp_now(), FACTS, ALLOWED, result)


def _told(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: median, 99th percentile, longest."""
    cuts = statistics.quantiles(seconds, n=100)
    found = {"p50": cuts[49], "p99": cuts[98], "max": max(seconds)}
    return {name: round(value * 1000, 3) for name, value in found.items()}
