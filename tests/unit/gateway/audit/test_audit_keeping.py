"""Invariant: no segment goes before its record and a checkpoint over that are lasting; no count of refusals is lost."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_files import read_lines, segments, stored_lines
from gateway.audit.audit_keeping import AuditKeeping
from gateway.audit.audit_log import AuditLog
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME
from gateway.audit.hold_book import HOLDS_NAME, HoldBook
from gateway.audit.log_verification import GAP, Ask, verify_log
from gateway.audit.segment_keeper import SegmentKeeper
from gateway.audit.signed_log import sign_log
from gateway.audit.trusted_keys import read_trusted_keys
from policies.audit_record import Stamp
from policies.auditing.refusal_sampling import RefusalSampling
from policies.auditing.segment_life import DAY_S, Hold
from policies.auditing.segment_records import Pruned, read_opened, read_pruned
from policies.errors import AuditUnavailable

BEGUN_S = 1_000_000_000


class Kept:
    """A log of some segments, ten days each, and what keeps it."""

    def __init__(self, folder: Path) -> None:
        self.audit = folder / "audit"
        self.folder = self.audit / "chain"
        self.folder.mkdir(parents=True)
        self.now_s = float(BEGUN_S)
        self.log = AuditLog.open(
            self.folder, node="n", segment_bytes=10**6, stamp=lambda: Stamp(int(self.now_s * 1e6), 2, "boot")
        )
        sign_log(self.log, self.folder)
        writer = self.log.writer
        self.keeper = SegmentKeeper(self.folder, RealDisk(), lambda: writer.open_from, lambda: writer.closed)
        self.sampling = RefusalSampling(0)
        self.keeping = AuditKeeping(self.log, self.keeper, HoldBook(self.audit), 400, self.sampling)

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.log.record({"number": number})
            self.now_s += 10 * DAY_S

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line.data) for segment in segments(self.folder) for line in read_lines(segment)]


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    kept = Kept(tmp_path)
    await kept.fill(4)
    return kept


async def test_what_is_old_goes_after_its_record_and_a_checkpoint(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = kept.keeper.remove

    def told_before(pruned: Pruned) -> None:
        lines = list(stored_lines([segment.path for segment in segments(kept.folder)]))
        (place,) = [number for number, line in enumerate(lines) if read_pruned(line.data) == pruned]
        first_seq = segments(kept.folder)[0].first_seq
        notes = (kept.folder / CHECKPOINTS_NAME).read_text("utf-8").split("\n\n")
        sizes = [int(note.splitlines()[1]) for note in notes if note.startswith("corral/")]
        assert max(sizes) > first_seq + place
        remove(pruned)

    monkeypatch.setattr(kept.keeper, "remove", told_before)
    later_s = BEGUN_S + 425 * DAY_S
    await kept.keeping.keep_segments(later_s)
    assert len(segments(kept.folder)) == 3, "two of four are left, and the one that tells of it"
    opened = read_opened(next(read_lines(segments(kept.folder)[0])).data)
    assert opened is not None
    told = [read_pruned(json.dumps(record).encode()) for record in kept.records()]
    pruned = [each for each in told if each is not None]
    assert len(pruned) == 2
    assert (pruned[-1].last_seq + 1, pruned[-1].tree) == (opened.first_seq, opened.tree)
    await kept.keeping.keep_segments(later_s)
    assert len(segments(kept.folder)) == 3, "once is enough"
    await kept.log.close()
    (report,) = verify_log([kept.folder], read_trusted_keys(kept.audit), Ask()).chains
    assert (report.status, report.fault, report.first_seq) == (GAP, None, opened.first_seq)


async def test_a_hold_keeps_what_it_covers(kept: Kept) -> None:
    HoldBook(kept.audit).save((Hold(id="h", from_s=BEGUN_S + 10 * DAY_S),))
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    count = len(segments(kept.folder))
    HoldBook(kept.audit).save(())
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert (count, len(segments(kept.folder))) == (4, 1)
    await kept.log.close()


async def test_a_hold_set_at_the_last_moment_keeps_the_file(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = kept.log.checkpoint

    async def then_hold() -> None:
        await checkpoint()
        HoldBook(kept.audit).save((Hold(id="h"),))

    monkeypatch.setattr(kept.log, "checkpoint", then_hold)
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert segments(kept.folder)[0].first_seq == 0
    await kept.log.close()


async def test_broken_holds_hold_everything(kept: Kept) -> None:
    (kept.audit / HOLDS_NAME).write_bytes(b"x")
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert len(segments(kept.folder)) == 4
    await kept.log.close()


async def test_a_log_that_cannot_be_written_is_not_pruned(kept: Kept) -> None:
    await kept.log.close()
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert len(segments(kept.folder)) == 4


async def test_a_disk_that_fails_is_tried_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Pruned) -> None:
        raise OSError(5, "injected")

    with monkeypatch.context() as broken:
        broken.setattr(kept.keeper, "remove", fails)
        for _ in range(3):
            await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert sum(record["event"] == "audit.pruned" for record in kept.records() if "event" in record) == 1
    await kept.keeping.keep_segments(BEGUN_S + 2_000 * DAY_S)
    assert len(segments(kept.folder)) == 1
    await kept.log.close()


async def test_counts_are_told_once_and_kept_while_they_cannot_be(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(_: object) -> None:
        raise AuditUnavailable("audit_eio")

    for second in range(3):
        kept.sampling.takes("key_unknown", "192.0.2.0/24", float(second))
    with monkeypatch.context() as broken:
        broken.setattr(kept.log, "record", unavailable)
        await kept.keeping.tell_counts()
    kept.sampling.takes("key_unknown", "192.0.2.0/24", 3.0)
    await kept.keeping.tell_counts()
    await kept.keeping.tell_counts()
    told = [record["details"] for record in kept.records() if record.get("event") == "refusals.sampled"]
    assert told == [
        {
            "reason": "key_unknown",
            "network": "192.0.2.0/24",
            "count": 4,
            "since": "1970-01-01T00:00:00.000000Z",
            "until": "1970-01-01T00:00:03.000000Z",
        }
    ]
    await kept.log.close()


async def test_a_bug_is_not_taken_for_a_full_disk(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(_: object) -> None:
        raise RuntimeError("bug")

    kept.sampling.takes("r", "n", 0.0)
    monkeypatch.setattr(kept.log, "record", bug)
    with pytest.raises(RuntimeError):
        await kept.keeping.tell_counts()
    await kept.log.close()


async def test_it_runs_until_it_is_cancelled(kept: Kept) -> None:
    kept.sampling.takes("r", "n", 0.0)
    running = asyncio.create_task(kept.keeping.run())
    for _ in range(1000):
        await asyncio.sleep(0.01)
        told = any(record.get("event") == "refusals.sampled" for record in kept.records())
        if told and segments(kept.folder)[0].compressed:
            break
    running.cancel()
    assert told
    await asyncio.gather(running, return_exceptions=True)
    await kept.log.close()
