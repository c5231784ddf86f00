"""A chain that nobody writes: retired, no longer looked after, pruned by retention, and proven all the while."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit import audit_log
from gateway.audit.audit_files import segments
from gateway.audit.audit_log import AuditLog
from gateway.audit.audit_place import hold_chain, hold_place
from gateway.audit.chain_lookout import ChainLookout
from gateway.audit.log_verification import GAP, WHOLE
from gateway.audit.retired_book import RETIRED_NAME, RetiredBook, RetiredBroken
from gateway.audit.retired_chains import ChainInUse, end_chain, prune_retired
from gateway.audit.signed_log import sign_log
from policies.audit_record import Stamp, system_record
from tests.crash_states import FastDisk
from tests.signed_chains import judge

LONG_AGO_US = round(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1e6)
DAY_US = 86_400 * 10**6


async def write_old(home: Path, name: str, days: int = 3) -> Path:
    """A chain of so many days, long ago, on real files."""
    folder = home / "audit" / name
    folder.mkdir(parents=True)
    for day in range(days):
        stamp = Stamp(LONG_AGO_US + day * DAY_US, day, "boot")
        log = AuditLog.open(folder, node="box", segment_bytes=900, disk=FastDisk(), stamp=lambda at=stamp: at)
        sign_log(log, folder, FastDisk())
        for number in range(3):
            await log.record(system_record("gateway.draining", stamp, {"running": number}))
        await log.close()
    return folder


def last() -> dict:
    return system_record("chain.resumed", audit_log.stamp_now(), {"chain": "box-1"})


async def test_its_segments_go_and_what_is_left_is_proven(tmp_path):
    folder = await write_old(tmp_path, "box-1")
    there = len(segments(folder))
    assert there > 2
    await end_chain(folder, 10_000, last())
    RetiredBook(tmp_path / "audit").add("box-1")
    assert judge(tmp_path / "audit").status == WHOLE
    await prune_retired(tmp_path / "audit", 10_000, lambda: 36_500)
    assert len(segments(folder)) == there + 1
    await prune_retired(tmp_path / "audit", 10_000, lambda: 400)
    left = segments(folder)
    assert len(left) == 2  # that with the record of its end, and that of the pruning
    assert judge(tmp_path / "audit").chains[0].first_seq == left[0].first_seq
    assert judge(tmp_path / "audit").status == GAP
    await prune_retired(tmp_path / "audit", 10_000, lambda: 400)
    assert segments(folder) == left


async def test_one_that_somebody_writes_is_left_alone(tmp_path):
    folder = await write_old(tmp_path, "box-1")
    await end_chain(folder, 10_000, last())
    RetiredBook(tmp_path / "audit").add("box-1")
    place = hold_chain(folder)
    try:
        with pytest.raises(ChainInUse, match="being written"):
            await end_chain(folder, 10_000, last())
        there = segments(folder)
        await prune_retired(tmp_path / "audit", 10_000, lambda: 400)
        assert segments(folder) == there
    finally:
        place.close()
    assert hold_place(tmp_path / "audit", "box").name == "box-0"


@pytest.mark.parametrize("fault", ["book", "gone"])
async def test_what_cannot_be_read_is_said_and_nothing_goes(tmp_path, fault, capsys):
    folder = await write_old(tmp_path, "box-1")
    there = segments(folder)
    RetiredBook(tmp_path / "audit").add("box-1" if fault == "book" else "box-9")
    if fault == "book":
        (tmp_path / "audit" / RETIRED_NAME).write_text("{}")
    await prune_retired(tmp_path / "audit", 10_000, lambda: 400)
    said = capsys.readouterr()
    assert "audit.retired_not_pruned" in said.out + said.err
    assert segments(folder) == there


async def test_a_retired_chain_is_not_missed(tmp_path):
    await write_old(tmp_path, "box-1")
    told: list[str] = []
    lookout = ChainLookout(tmp_path / "audit", "box-0", lambda event, _details: told.append(event))
    lookout.look(0.0)
    assert told == ["chain.seen"]
    RetiredBook(tmp_path / "audit").add("box-1")
    (tmp_path / "audit" / "box-1" / "checkpoints").unlink()
    lookout.look(100.0)
    assert told == ["chain.seen"]
    (tmp_path / "audit" / RETIRED_NAME).write_text("broken")
    lookout.look(200.0)
    assert told == ["chain.seen", "chain.missed"]


def test_the_book(tmp_path):
    book = RetiredBook(tmp_path)
    assert book.chains() == ()
    book.add("a")
    book.add("b")
    assert book.take_back("a") is True
    assert book.take_back("a") is False
    assert json.loads((tmp_path / RETIRED_NAME).read_text()) == ["b"]
    (tmp_path / RETIRED_NAME).unlink()
    (tmp_path / RETIRED_NAME).mkdir()
    with pytest.raises(RetiredBroken, match="cannot be read"):
        book.chains()


async def test_a_retired_folder_without_segments_is_passed_over(tmp_path):
    (tmp_path / "audit" / "box-1").mkdir(parents=True)
    RetiredBook(tmp_path / "audit").add("box-1")
    await prune_retired(tmp_path / "audit", 10_000, lambda: 400)
    assert list((tmp_path / "audit" / "box-1").iterdir()) == []
