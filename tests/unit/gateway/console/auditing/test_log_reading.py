"""Invariant: whatever goes wrong in reading, or takes too long, is a page that says so; a question never runs on."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.audit.index.index_file import IndexBroken, IndexFault
from gateway.audit.index.opened_records import PersonsNotOpened
from gateway.audit.index.saved_queries import QueryFault
from gateway.console.auditing import log_reading
from gateway.console.auditing.log_reading import AT_ONCE, LogReading, Reading
from gateway.console.page import Turned
from gateway.homes.home import Home
from policies.auditing.search_filter import Filter
from policies.errors import AuditUnavailable
from tests.stored_log import StoredChain

WITHOUT_END = "WITH RECURSIVE more(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM more) SELECT count(*) FROM more"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A log of one chain, without keys of persons."""
    records = [{"ts": "2020-11-22T10:00:00.000000Z", "event": "key.created", "stage": "admin"} for _ in range(5)]
    StoredChain(tmp_path / "audit" / "box-0").add(records)
    return Home(tmp_path)


def test_a_question_is_answered_from_what_the_log_holds_now(home: Home) -> None:
    reading = LogReading(home)
    assert len(asyncio.run(reading.ask(lambda each: each.hits(Filter(), 10)))) == 5


def test_a_question_that_takes_too_long_is_stopped(home: Home) -> None:
    with pytest.raises(Turned) as turned:
        asyncio.run(LogReading(home, 0.05).ask(lambda each: each.database.execute(WITHOUT_END).fetchone()))
    assert (turned.value.status, turned.value.word_key) == (503, "audit.too_slow")


@pytest.mark.parametrize(
    ("fault", "status", "key"),
    [
        (QueryFault("x"), 400, ""),
        (IndexFault("x"), 503, ""),
        (PersonsNotOpened("x"), 503, ""),
        (IndexBroken("x"), 503, "audit.index_broken"),
        (AuditUnavailable("x"), 503, ""),
        (OSError("x"), 503, ""),
        (sqlite3.DatabaseError("x"), 503, ""),
    ],
)
def test_every_fault_of_reading_is_a_page_of_its_own(home: Home, fault: Exception, status: int, key: str) -> None:
    def faulty(_reading: Reading) -> None:
        raise fault

    with pytest.raises(Turned) as turned:
        asyncio.run(LogReading(home).ask(faulty))
    assert (turned.value.status, turned.value.word_key) == (status, key)


def test_another_fault_of_sqlite_is_not_taken_for_slowness(home: Home) -> None:
    with pytest.raises(Turned) as turned:
        asyncio.run(LogReading(home).ask(lambda each: each.database.execute("SELECT * FROM nothing")))
    assert turned.value.word_key == ""


def test_a_cursor_that_is_no_record_is_not_found(home: Home) -> None:
    with pytest.raises(Turned) as turned:
        asyncio.run(LogReading(home).ask(lambda each: each.hits(Filter(), 10, ("box-0", 99))))
    assert turned.value.status == 404


def test_only_so_many_questions_run_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "WAIT_S", 60.0)  # one makes the index while the other waits for it
    running, most = 0, 0

    def counted(_reading: Reading) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1

    async def crowd() -> None:
        reading = LogReading(home)
        await asyncio.gather(*(reading.ask(counted) for _ in range(12)))

    asyncio.run(crowd())
    assert 1 <= most <= AT_ONCE


def test_an_index_at_odds_with_a_segment_is_made_anew_before_it_is_asked(home: Home) -> None:
    reading = LogReading(home)
    asyncio.run(reading.ask(lambda each: each.hits(Filter(), 1)))
    with sqlite3.connect(home.audit / "index.db") as database:
        database.execute("UPDATE segments SET last_digest = x'00', state = ''")
    notes = asyncio.run(reading.ask(lambda each: each.notes))
    assert any("made anew" in note for note in notes)
