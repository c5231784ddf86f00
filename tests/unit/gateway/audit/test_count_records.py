"""What is written of counts, and what of it is open; over the log that sees every record's place."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from engine.frames import Counters, Tally
from engine.links.worker_link import WorkerCount
from gateway.audit import count_records
from gateway.audit.count_records import CountRecords, UpstreamCount
from gateway.audit.counts import CountedLog, OpenRuns
from policies.errors import AuditUnavailable
from tests.fakes import STAMP, MemoryLog

OWN = Tally(gateway="here-0:1", taken=3, ended=2, failed=0, prompt_tokens=9, output_tokens=4)
COUNTERS = Counters(
    decode_calls=1, steps=1, output_tokens=5, prefill_tokens=9, cached_tokens=1, started=3, ended=2, cancelled=0,
    busy_slots=1,
)  # fmt: skip


class Run:
    def __init__(self, name: str, target: str = "pool:w", life: str = "ab") -> None:
        self.id = name
        self.target = target
        self.taken_by = lambda: life


class Pool:
    """Hands out what it is told to, when asked."""

    def __init__(self) -> None:
        self.counts: list[WorkerCount] = []
        self.hear: Any = None

    def subscribe_counts(self, hear: Any) -> None:
        self.hear = hear

    def ask_counts(self) -> int:
        for count in self.counts:
            self.hear(count)
        return len(self.counts)


class Upstream:
    target = "upstream:second"

    def __init__(self, answer: UpstreamCount | None) -> None:
        self.answer = answer

    async def count(self) -> UpstreamCount | None:
        return self.answer


def worker_count(*tallies: Tally, unread: int | None = 0) -> WorkerCount:
    counters = structs.replace(COUNTERS, tallies=tallies)
    return WorkerCount(target="pool:w", life="ab", counters=counters, unread=unread)


def details(log: MemoryLog) -> list[dict[str, Any]]:
    return [entry["details"] for entry in log.entries if entry["event"] == "worker.counted"]


def made(log: MemoryLog, runs: OpenRuns, pool: Pool | None, *upstreams: Upstream) -> CountRecords:
    return CountRecords(log.submit, lambda: STAMP, runs, "here-0:1", (pool, upstreams))


async def test_its_own_tally_is_written_each_time_with_what_is_open() -> None:
    log, runs, pool = MemoryLog(), OpenRuns(), Pool()
    for run in (Run("a"), Run("b"), Run("untaken", life=""), Run("elsewhere", target="pool:v"), Run("old", life="aa")):
        runs.begin(run)
    records = made(log, runs, pool)
    pool.counts = [worker_count(OWN)]
    await records.ask()
    pool.counts = [worker_count(OWN, unread=1)]
    await records.ask()
    pool.counts = [worker_count(OWN, unread=None)]
    await records.last()
    await asyncio.sleep(0)
    assert [each["open"] for each in details(log)] == [2, 1, 2]
    assert [each["last"] for each in details(log)] == [False, False, True]
    first = details(log)[0]
    assert (first["target"], first["life"], first["taken"], first["ended"]) == ("pool:w", "ab", 3, 2)
    assert (first["worker_taken"], first["worker_running"], first["worker_output_tokens"]) == (3, 1, 5)


async def test_of_others_news_of_who_is_gone_or_nobody_and_the_rest_now_and_then() -> None:
    log, pool = MemoryLog(), Pool()
    nobody = structs.replace(OWN, gateway="", taken=1)
    there = structs.replace(OWN, gateway="other-0:1")
    gone = structs.replace(OWN, gateway="dead-0:1", connected=False)
    records = made(log, OpenRuns(), pool)
    pool.counts = [worker_count(OWN, nobody, there, gone)]
    await records.ask()
    await records.ask()
    pool.counts = [worker_count(OWN, structs.replace(nobody, taken=2), structs.replace(there, taken=9), gone)]
    for _ in range(8):
        await records.ask()
    await asyncio.sleep(0)
    written = [(each["gateway"], each["taken"]) for each in details(log)]
    own = ("here-0:1", 3)
    first = [own, ("", 1), ("other-0:1", 3), ("dead-0:1", 3), own]
    assert written == [*first, own, ("", 2), *[own] * 7, ("other-0:1", 9)]
    assert all(("open" in each) == (each["gateway"] == "here-0:1") for each in details(log))


async def test_the_end_waits_for_every_worker_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    log, pool = MemoryLog(), Pool()
    records = made(log, OpenRuns(), pool)
    pool.counts = [worker_count(OWN), worker_count(OWN)]
    monkeypatch.setattr(pool, "ask_counts", lambda: 2)
    monkeypatch.setattr(count_records, "LAST_COUNT_S", 60.0)
    ending = asyncio.create_task(records.last())
    await asyncio.sleep(0)
    for count in pool.counts:
        assert not ending.done()
        pool.hear(count)
        await asyncio.sleep(0.001)
    await ending
    monkeypatch.setattr(count_records, "LAST_COUNT_S", 0.001)
    await records.last()
    await asyncio.sleep(0)
    assert len(details(log)) == 2


async def test_an_upstream_is_asked_and_its_silence_is_none() -> None:
    log, runs = MemoryLog(), OpenRuns()
    runs.begin(Run("a", target="upstream:second", life=""))
    answer = UpstreamCount(process="b", since_unix_s=5.0, of="all", taken=7, prompt_tokens=2, output_tokens=3)
    records = made(log, runs, None, Upstream(answer), Upstream(None))
    await records.last()
    await asyncio.sleep(0)
    (told,) = details(log)
    assert told == {
        "target": "upstream:second", "life": "b", "since_unix_s": 5.0, "of": "all", "taken": 7, "prompt_tokens": 2,
        "output_tokens": 3, "open": 1,
    }  # fmt: skip


async def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    log, pool = MemoryLog(), Pool()
    log.broken = True
    pool.counts = [worker_count(OWN)]
    records = made(log, OpenRuns(), pool)
    await records.ask()
    await asyncio.sleep(0.001)

    def closed(_entry: Any) -> Any:
        raise AuditUnavailable("audit_closed")

    await CountRecords(closed, lambda: STAMP, OpenRuns(), "here-0:1", (pool, ())).ask()
    task = asyncio.create_task(records.run(0.001))
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_end_is_no_longer_open_in_the_moment_it_is_handed_over() -> None:
    log, runs = MemoryLog(), OpenRuns()
    counted = CountedLog(log, runs, "here-0:1", 0.0)
    runs.begin(Run("a"))
    counted.submit({"event": "request.authorized", "stage": "authorized", "req_id": "a"})
    assert runs.open("pool:w", "ab") == 1
    done = counted.submit({"event": "request.aborted", "stage": "aborted", "req_id": "a"})
    assert runs.open("pool:w") == 0
    await done
    await counted.record({"event": "request.aborted", "stage": "aborted", "req_id": "a"})
