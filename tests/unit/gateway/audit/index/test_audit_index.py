"""Invariant: whatever happened to the files, a search shows the log's own lines, all that fit, and what was amiss."""

import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.audit.index import index_file, index_update
from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.found_lines import newest_lines
from gateway.audit.index.index_file import IndexBroken, IndexFault
from gateway.audit.index.index_search import Rows
from gateway.audit.index.opened_records import OpenedRecords
from policies.auditing.search_filter import Filter, read_filter
from tests.stored_log import StoredChain

ALL = Filter()


def record(number: int, **parts: object) -> dict[str, object]:
    at = f"2026-11-22T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000000Z"
    return {
        "ts": at,
        "event": "request.completed",
        "stage": "completed",
        "req_id": f"r{number}",
        "actor": {"team": "chem", "key_id": f"k{number % 3}", "name": "alice"},
        "src": {"ip": f"10.0.0.{number % 250}"},
        "decision": {"effect": "allow"},
        **parts,
    }


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """The folder of the chains."""
    return tmp_path / "audit"


@pytest.fixture
def chain(audit: Path) -> StoredChain:
    """200 records in four segments."""
    stored = StoredChain(audit / "box-0")
    stored.add([record(number) for number in range(200)])
    return stored


def index_of(audit: Path) -> AuditIndex:
    return AuditIndex(audit, OpenedRecords())


def seqs(index: AuditIndex, asked: Filter = ALL, limit: int = 1000) -> list[int]:
    found = index.search(asked, limit)
    assert found.notes == []
    return [line.seq for line in found.lines]


def test_all_chains_are_one_log_newest_first(audit: Path, chain: StoredChain) -> None:
    other = StoredChain(audit / "box-1")
    other.add([record(number) for number in range(1, 400, 40)])
    found = index_of(audit).search(ALL, 1000)
    times = [line.record["ts"] for line in found.lines]
    assert len(times) == 210
    assert times == sorted(times, reverse=True)
    assert found.lines[0].line == other.lines[-1]


def test_the_index_is_for_its_owner_alone(audit: Path, chain: StoredChain) -> None:
    index_of(audit).refresh()
    for name in (index_file.NAME, index_file.LOCK_NAME):
        assert stat.S_IMODE((audit / name).stat().st_mode) == 0o600


def test_what_is_added_is_found_and_nothing_twice(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    assert len(seqs(index)) == 200
    chain.add([record(number) for number in range(200, 260)])
    assert seqs(index) == list(range(259, -1, -1))
    assert index.refresh().records == 0


def test_only_what_the_head_names_is_taken(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    chain.add([record(200)], acknowledged=False)
    with chain.segment_of(200).open("ab") as file:
        file.write(b'{"v":1,"seq":201,')  # torn
    assert max(seqs(index)) == 199
    with chain.segment_of(200).open("rb+") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 17)
    chain.name_head()
    assert max(seqs(index)) == 200


def test_compressed_segments_are_read_as_before(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    for seq in (0, 50, 199):
        chain.compress(seq)
    assert seqs(index) == list(range(199, -1, -1))
    assert seqs(index, read_filter({"request": "r55"}, 0)) == [55]
    assert index.rebuild().records == 200
    assert seqs(index, read_filter({"key": "k1"}, 0), 3) == [199, 196, 193]


def test_pruned_segments_are_forgotten_with_their_words(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    chain.segment_of(0).unlink()
    chain.segment_of(50).unlink()
    assert seqs(index) == list(range(199, 99, -1))
    assert seqs(index, read_filter({"text": "k0 completed"}, 0), 2) == [198, 195]
    with index.opened() as database:
        assert database.execute("SELECT count(*) FROM records").fetchone() == (100,)
        assert database.execute("SELECT count(*) FROM words WHERE words MATCH 'completed'").fetchone() == (100,)
        assert database.execute("SELECT count(*) FROM addresses").fetchone() == (100,)


def test_a_chain_that_is_gone_is_forgotten(audit: Path, chain: StoredChain) -> None:
    StoredChain(audit / "box-1").add([record(1)])
    index = index_of(audit)
    assert len(seqs(index)) == 201
    for path in (audit / "box-1").iterdir():
        path.unlink()
    assert len(seqs(index)) == 200


def test_a_changed_line_is_said_and_never_shown(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    path = chain.segment_of(60)
    changed = path.read_bytes().replace(b'"req_id":"r60"', b'"req_id":"r61"')
    path.write_bytes(changed)
    found = index.search(read_filter({"request": "r60"}, 0), 10)
    assert found.lines == []
    assert "seq 60 of box-0 is not the line that was indexed" in found.notes[0]
    assert "made anew" in found.notes[0]
    assert [line.seq for line in index.search(read_filter({"request": "r61"}, 0), 10).lines] == [61, 60]


def test_a_replaced_end_is_noticed_before_anything_is_asked(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    last = chain.segment_of(199)
    last.write_bytes(last.read_bytes().replace(b'"r199"', b'"r19x"'))
    found = index.search(read_filter({"request": "r19x"}, 0), 10)
    assert [line.seq for line in found.lines] == [199]
    assert "is not what was read before (seq 199)" in found.notes[0]


def test_a_segment_that_goes_while_it_is_read_is_no_hit(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    with index.opened() as database:
        hits = Rows(database).newest(ALL, 500)
        chain.segment_of(0).unlink()
        with pytest.raises(IndexBroken, match=r"000000000000\.jsonl is gone"):
            newest_lines(database, audit, hits)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_index_is_made_anew(audit: Path, chain: StoredChain, content: bytes) -> None:
    index = index_of(audit)
    index.refresh()
    (audit / index_file.NAME).write_bytes(content)
    found = index.search(ALL, 1000)
    assert len(found.lines) == 200
    assert "made anew" in found.notes[0]


def test_an_index_of_another_version_is_made_anew(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    with sqlite3.connect(audit / index_file.NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "another version" in index.search(ALL, 10).notes[0]


def test_a_journal_left_behind_is_not_played_into_a_new_index(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.refresh()
    journal = audit / f"{index_file.NAME}-journal"
    journal.write_bytes(b"old")
    index.rebuild()
    assert not journal.exists()
    assert len(seqs(index)) == 200


def test_lines_that_are_no_records_are_said_and_passed_over(audit: Path, chain: StoredChain) -> None:
    path = chain.segment_of(50)
    lines = path.read_bytes().split(b"\n")
    lines[3:5] = [b"garbage", b'{"seq":"x"}']
    path.write_bytes(b"\n".join(lines))
    found = index_of(audit).search(ALL, 1000)
    assert len(found.lines) == 198
    assert found.notes == ["box-0: a line is no record: run 'corral audit verify'"]


@pytest.mark.parametrize("head", [None, b"broken"])
def test_without_a_sound_head_whatever_is_there_is_found_and_said(
    audit: Path, chain: StoredChain, head: bytes | None
) -> None:
    path = audit / "box-0" / "head"
    path.unlink()
    if head is not None:
        path.write_bytes(head)
    found = index_of(audit).search(ALL, 1000)
    assert len(found.lines) == 200
    assert "the head" in found.notes[0]


def test_a_stop_in_the_middle_loses_and_doubles_nothing(
    audit: Path, chain: StoredChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at every batch in turn; each time the next look goes on where the last whole one ended."""
    monkeypatch.setattr(index_update, "BATCH_LINES", 30)
    index = index_of(audit)
    first = StoredChain(audit / "box-1")
    first.add([record(1)])
    index.rebuild()
    chain.add([record(number) for number in range(200, 300)])
    whole = index_update._save
    for spared in (0, 1, 2):
        left = [spared]

        def fail(database: sqlite3.Connection, read: object, left: list[int] = left) -> None:
            if not left[0]:
                raise sqlite3.OperationalError("database or disk is full")
            left[0] -= 1
            whole(database, read)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(index_update, "_save", fail)
            with pytest.raises(sqlite3.OperationalError):
                index.refresh()
    assert [
        line.seq for line in index.search(read_filter({"team": "chem"}, 0), 301).lines if line.chain == "box-0"
    ] == [*range(299, -1, -1)]


def test_a_bounded_look_goes_on_with_the_next(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    index.rebuild()
    chain.add([record(number) for number in range(200, 290)])
    taken = [index.refresh(40) for _ in range(3)]
    assert [each.records for each in taken] == [40, 40, 10]
    assert [each.unfinished for each in taken] == [True, True, False]


def _search_in_another_process(audit: Path, found: "multiprocessing.Queue[int]") -> None:
    found.put(len(AuditIndex(audit, OpenedRecords()).search(ALL, 1000).lines))


def test_several_processes_at_once_find_the_same(audit: Path, chain: StoredChain) -> None:
    context = multiprocessing.get_context("fork")
    found: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_search_in_another_process, args=(audit, found)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert [found.get(timeout=60) for _ in workers] == [200] * 4
    for worker in workers:
        worker.join(60)
    with index_of(audit).opened() as database:
        assert database.execute("SELECT count(*) FROM records").fetchone() == (200,)


def test_who_comes_second_waits_or_is_told(audit: Path, chain: StoredChain) -> None:
    with index_file.writing(audit, 0.0), pytest.raises(IndexFault, match="another process is writing"):
        index_of(audit).refresh(wait_s=0.0)


def test_many_records_of_one_moment_keep_their_order(audit: Path) -> None:
    chain, other = StoredChain(audit / "box-0"), StoredChain(audit / "box-1")
    chain.add([record(5) for _ in range(30)])
    index = index_of(audit)
    assert seqs(index) == list(range(29, -1, -1))
    other.add([record(5) for _ in range(30)])
    chain.add([record(5) for _ in range(5)])
    found = index.search(ALL, 1000).lines
    assert [line.seq for line in found if line.chain == "box-0"] == list(range(34, -1, -1))
    assert len(found) == 65


def test_the_next_page_begins_behind_the_cursor(audit: Path, chain: StoredChain) -> None:
    index = index_of(audit)
    first = index.search(ALL, 3).lines
    behind = index.search(ALL, 3, (first[-1].chain, first[-1].seq)).lines
    assert [line.seq for line in (*first, *behind)] == [199, 198, 197, 196, 195, 194]
    with pytest.raises(ValueError, match="no record has seq 7 in a chain 'nowhere'"):
        index.search(ALL, 3, ("nowhere", 7))


def test_a_log_that_changes_all_the_time_is_said(
    audit: Path, chain: StoredChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise IndexBroken("seq 1 is not the line")

    monkeypatch.setattr("gateway.audit.index.audit_index.newest_lines", broken)
    with pytest.raises(IndexFault, match="the log changes while it is read"):
        index_of(audit).search(ALL, 3)


def test_a_sqlite_without_text_search_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def execute(self, _statement: str) -> None:
            raise sqlite3.OperationalError("no such module: fts5")

        def close(self) -> None:
            pass

    monkeypatch.setattr(sqlite3, "connect", lambda _path: Without())
    with pytest.raises(IndexFault, match="has no FTS5: use a Python"):
        index_file.require_fts5()


def test_files_that_are_no_segments_are_left_alone(audit: Path, chain: StoredChain) -> None:
    (audit / "box-0" / "notes.jsonl").write_bytes(b"{}\n")
    (audit / "audit.vkey").write_bytes(b"")
    assert len(seqs(index_of(audit))) == 200


@pytest.mark.parametrize("how", ["an endless line", "cut short", "removed"])
def test_what_cannot_be_read_in_the_middle_is_named(audit: Path, chain: StoredChain, how: str) -> None:
    path = chain.segment_of(60)
    lines = path.read_bytes().split(b"\n")
    if how == "an endless line":
        path.write_bytes(b"\n".join([*lines[:10], b"x" * 70_000, *lines[11:]]))
    elif how == "cut short":
        path.write_bytes(b"\n".join(lines[:10]) + b"\n")
    else:
        path.unlink()
    found = index_of(audit).search(ALL, 1000)
    first = 50 if how == "removed" else 60
    assert found.notes == [f"box-0: seq {first} to 99 cannot be read: run 'corral audit verify'"]
    assert {line.seq for line in found.lines} == set(range(200)) - set(range(first, 100))


def test_a_file_that_goes_while_it_is_looked_for_waits_for_the_next_look(
    audit: Path, chain: StoredChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of(audit)
    with monkeypatch.context() as patch:
        patch.setattr(index_update, "lines_from", lambda *_: (_ for _ in ()).throw(FileNotFoundError()))
        assert index.refresh().unfinished
    assert len(seqs(index)) == 200
