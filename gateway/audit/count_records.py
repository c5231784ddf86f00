"""Writes what workers and upstreams counted into the log: `worker.counted`, every so often and at every end.

A worker's answer is written in the moment it arrives, so that the record's place in the log is the place of the
count: what this gateway has recorded before it, and what it says is open, make up what the worker has taken. Rules:
 (1) The tally of this process is written each time. That of a process which holds no connection any more, or under no
     gateway's name, when it has changed since this one wrote it: a gateway that was killed cannot write its own. That
     of any other name at first sight and then now and then: it may be a gateway that writes its own, or a stranger
     who stays.
 (2) An upstream is asked over HTTP, and tells of requests that have ended there. Here they have ended too, or are
     `open`: those that it had begun to answer, and those that it was only given.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

import structlog
from msgspec import Meta, Struct

from engine.frames import Count, Tally
from engine.links.worker_link import WorkerCount
from gateway.audit.counts import OpenRuns
from policies.audit_record import Stamp, system_record
from policies.errors import AuditUnavailable

log = structlog.get_logger("corral.counts")

Entry = dict[str, Any]
OTHERS_EVERY = 10
"""Counts, between two of what another connected name has done by now."""
LAST_COUNT_S = 1.0
"""How long a gateway that ends waits for its workers' last counts: they answer between two steps."""


class CountSource(Protocol):
    """Where workers are asked: the pool."""

    def subscribe_counts(self, hear: Callable[[WorkerCount], None]) -> None: ...
    def ask_counts(self) -> int: ...


class UpstreamCount(Struct, frozen=True, kw_only=True):
    """What an upstream says it has served since `since_unix_s`: to this gateway's key, or (`of` all) to everybody."""

    process: Annotated[str, Meta(min_length=1, max_length=96)]
    since_unix_s: float
    of: Literal["key", "all"]
    taken: Count
    prompt_tokens: Count
    output_tokens: Count


class CountingUpstream(Protocol):
    """An upstream that can be asked. `count` is None when it did not answer."""

    @property
    def target(self) -> str: ...
    def count(self) -> Awaitable[UpstreamCount | None]: ...


class CountRecords:
    """See the head of the module. `submit` hands an entry to the log at once; its future says if it is lasting."""

    def __init__(
        self,
        submit: Callable[[Entry], "asyncio.Future[None]"],
        stamp: Callable[[], Stamp],
        runs: OpenRuns,
        process: str,
        sources: tuple[CountSource | None, Sequence[CountingUpstream]],
    ) -> None:
        self._submit = submit
        self._stamp = stamp
        self._runs = runs
        self._process = process
        self._pool, self._upstreams = sources
        self._written: dict[tuple[str, str], Tally] = {}
        self._answers = asyncio.Semaphore(0)
        self._asked = 0
        if self._pool is not None:
            self._pool.subscribe_counts(self._take)

    async def run(self, every_s: float) -> None:
        """Ask now and every so often, until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(every_s)

    async def ask(self) -> None:
        """Ask everybody once; workers' answers are written as they come."""
        self._asked += 1
        if self._pool is not None:
            self._pool.ask_counts()
        await asyncio.gather(*map(self._ask_upstream, self._upstreams))

    async def last(self) -> None:
        """Ask once more, at the end of this process, and give the workers a moment to answer."""
        self._answers = asyncio.Semaphore(0)
        asked = self._pool.ask_counts() if self._pool is not None else 0
        await asyncio.gather(*map(self._ask_upstream, self._upstreams))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_COUNT_S):
                for _ in range(asked):
                    await self._answers.acquire()

    def _take(self, count: WorkerCount) -> None:
        self._answers.release()
        for tally in count.counters.tallies:
            known = self._written.get((count.life, tally.gateway))
            if self._is_due(tally, known):
                self._written[count.life, tally.gateway] = tally
                self._write(self._of_worker(count, tally))

    def _is_due(self, tally: Tally, known: Tally | None) -> bool:
        """Rule (1)."""
        if tally.gateway == self._process:
            return True
        stays = bool(tally.gateway) and tally.connected
        return tally != known and (known is None or not stays or self._asked % OTHERS_EVERY == 0)

    def _of_worker(self, count: WorkerCount, tally: Tally) -> Entry:
        counters = count.counters
        told: Entry = {
            "target": count.target,
            "life": count.life,
            "gateway": tally.gateway,
            "taken": tally.taken,
            "ended": tally.ended,
            "failed": tally.failed,
            "prompt_tokens": tally.prompt_tokens,
            "output_tokens": tally.output_tokens,
            "worker_taken": sum(each.taken for each in counters.tallies),
            "worker_output_tokens": counters.output_tokens,
            "worker_prefill_tokens": counters.prefill_tokens,
            "worker_cached_tokens": counters.cached_tokens,
            "worker_running": counters.busy_slots,
            "last": count.unread is None,
        }
        if tally.gateway == self._process:
            told["open"] = self._runs.open(count.target, count.life) - (count.unread or 0)
        return told

    async def _ask_upstream(self, upstream: CountingUpstream) -> None:
        count = await upstream.count()
        if count is not None:
            self._write(
                {
                    "target": upstream.target,
                    "life": count.process,
                    "since_unix_s": count.since_unix_s,
                    "of": count.of,
                    "taken": count.taken,
                    "prompt_tokens": count.prompt_tokens,
                    "output_tokens": count.output_tokens,
                    "open": self._runs.open(upstream.target),
                }
            )

    def _write(self, details: Entry) -> None:
        try:
            done = self._submit(system_record("worker.counted", self._stamp(), details))
        except AuditUnavailable:
            return  # the log says itself that it cannot be written
        done.add_done_callback(_heard)


def _heard(done: "asyncio.Future[None]") -> None:
    """Nobody waits for the record; that the log cannot be written is told where a request needs it."""
    if not done.cancelled() and done.exception() is not None:
        log.warning("count_not_recorded")
