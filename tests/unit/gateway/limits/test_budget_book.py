"""Budgets on disk: durable when it says so, written together, pruned, and fail closed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.limits import budget_book
from gateway.limits.budget_book import KEPT_S, BudgetBook
from policies.errors import PolicyUnavailable

CHILD = """
import asyncio, sys
from pathlib import Path
from gateway.clock import SystemClock
from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from policies.limiting.limits import BudgetClaim, Claims

async def main():
    store = MemoryStore(SystemClock(), BudgetBook.open(Path(sys.argv[1])))
    claims = Claims(budgets=(BudgetClaim("month:k", 1000, 7, "month"),))
    await asyncio.gather(*(store.reserve(claims) for _ in range(20)))
    print("reserved", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def rows(path: Path) -> dict[tuple[str, str], int]:
    with sqlite3.connect(path) as database:
        found = {(name, period): charged for name, period, charged, _ in database.execute("SELECT * FROM budgets")}
    database.close()
    return found


async def test_what_is_durable_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    book = BudgetBook.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    await book.durable()  # nothing to write
    book.charge("a", "2025-11", 5, 10.0)
    await book.durable()
    assert rows(path) == {("a", "2025-11"): 5}
    await book.close()
    again = BudgetBook.open(path)
    assert (again.charged("a", "2025-11"), again.charged("b", "2025-11")) == (5, 0)
    await again.close()


async def test_changes_made_while_it_writes_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    batches: list[int] = []
    write = book._write

    def counted(values: list[tuple[str, str, int, float]], dropped: list[tuple[str, str]]) -> None:
        batches.append(len(values))
        write(values, dropped)

    monkeypatch.setattr(book, "_write", counted)

    async def one(number: int) -> None:
        book.charge(f"n{number}", "2025-11", number, 10.0)
        await book.durable()

    await asyncio.gather(one(0), *(one(number) for number in range(1, 100)))
    assert sum(batches) == 100
    assert len(batches) <= 2
    assert len(rows(tmp_path / "limits.db")) == 100
    await book.close()


async def test_who_comes_while_nothing_is_unwritten_waits_for_the_running_write(tmp_path: Path) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    book.charge("a", "2025-11", 1, 10.0)
    book.write_later()
    await asyncio.sleep(0)
    assert book._writing is not None
    await book.durable()
    assert rows(tmp_path / "limits.db") == {("a", "2025-11"): 1}
    book.write_later()  # nothing owed
    book.charge("a", "2025-11", 2, 10.0)
    book.write_later()
    await book.close()
    assert rows(tmp_path / "limits.db") == {("a", "2025-11"): 2}


async def test_after_its_end_nothing_is_written_and_nothing_promised(tmp_path: Path) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    await book.close()
    book.charge("a", "2025-11", 1, 10.0)
    book.write_later()
    with pytest.raises(PolicyUnavailable):
        await book.durable()
    assert rows(tmp_path / "limits.db") == {}


async def test_a_disk_that_refuses_is_told_and_what_is_owed_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    with monkeypatch.context() as broken:
        broken.setattr(budget_book, "UPSERT", "INSERT INTO nowhere VALUES (?, ?, ?, ?)")
        book.charge("a", "2025-11", 1, 10.0)
        with pytest.raises(PolicyUnavailable) as caught:
            await book.durable()
        assert caught.value.reason == "budgets_unwritable"
        with pytest.raises(PolicyUnavailable):
            await book.durable()
    await book.durable()
    assert rows(tmp_path / "limits.db") == {("a", "2025-11"): 1}
    await book.close()


async def test_two_gateways_of_one_home_take_nothing_from_each_other(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    old = BudgetBook.open(path)
    old.charge("a", "2025-11", 50, 10.0)
    await old.durable()
    new = BudgetBook.open(path)
    new.charge("a", "2025-11", 50 + 30, 10.0)
    await new.durable()
    old.charge("a", "2025-11", 20, 10.0)  # settled: 30 were not used
    await old.durable()
    assert rows(path) == {("a", "2025-11"): 50}
    await old.close()
    await new.close()


async def test_old_periods_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    for name, ends_s in (("old", 10.0), ("recent", 5000.0)):
        book.charge(name, "2025-11-01", 1, ends_s)
    await book.durable()
    with monkeypatch.context() as broken:
        broken.setattr(budget_book, "UPSERT", "INSERT INTO nowhere VALUES (?, ?, ?, ?)")
        book.charge("recent", "2025-11-01", 2, 5000.0)
        book.prune(KEPT_S + 4000.0, 0.0)
        with pytest.raises(PolicyUnavailable):
            await book.durable()
    book.prune(KEPT_S + 6000.0, 2000.0)  # not yet an hour
    await book.durable()
    assert rows(tmp_path / "limits.db") == {("recent", "2025-11-01"): 2}
    assert book.charged("old", "2025-11-01") == 0
    await book.close()


async def test_a_period_pruned_while_its_write_fails_is_owed_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    with monkeypatch.context() as broken:
        broken.setattr(budget_book, "UPSERT", "INSERT INTO nowhere VALUES (?, ?, ?, ?)")
        book.charge("old", "2025-11-01", 1, 10.0)
        failing = asyncio.create_task(book.durable())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not book._owed  # on its way to the disk
        book.prune(KEPT_S + 4000.0, 0.0)
        with pytest.raises(PolicyUnavailable):
            await failing
    book.charge("new", "2025-11-03", 1, KEPT_S + 9000.0)
    await book.durable()
    assert rows(tmp_path / "limits.db") == {("new", "2025-11-03"): 1}
    await book.close()


async def test_a_clock_that_is_set_ahead_and_back_forgets_nothing(tmp_path: Path) -> None:
    book = BudgetBook.open(tmp_path / "limits.db")
    book.charge("a", "2025-11", 5, 1000.0)
    book.prune(0.0, 0.0)
    book.prune(KEPT_S + 10_000.0, 3600.0)  # it was set by a month in an hour
    assert book.charged("a", "2025-11") == 5
    book.prune(7200.0, 7200.0)
    book.prune(KEPT_S + 1000.0, KEPT_S + 1000.0)  # its end is not yet over for so long
    assert book.charged("a", "2025-11") == 5
    book.prune(KEPT_S + 4600.0, KEPT_S + 4600.0)
    assert book.charged("a", "2025-11") == 0
    await book.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_taken_away_takes_no_more_and_is_told_of_once(tmp_path: Path, replaced: bool) -> None:
    path, away = tmp_path / "limits.db", tmp_path / "away.db"
    book = BudgetBook.open(path)
    book.charge("a", "2025-11", 1, 10.0)
    await book.durable()
    path.rename(away)
    if replaced:
        path.write_bytes(away.read_bytes())
    book.charge("a", "2025-11", 2, 10.0)
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(PolicyUnavailable, match="budgets_unwritable"):
                await book.durable()
    [told] = [entry for entry in logs if entry["event"] == "budgets_file_lost"]
    assert told["reason"] == ("budgets_replaced" if replaced else "budgets_away")
    assert "restart Corral" in told["remedy"]
    away.rename(path)
    await book.durable()
    assert rows(path) == {("a", "2025-11"): 2}
    await book.close()


async def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyUnavailable) as caught:
        BudgetBook.open(tmp_path / "missing" / "limits.db")
    assert caught.value.reason == "budgets_away"
    (tmp_path / "torn.db").write_bytes(b"no database" * 200)
    with pytest.raises(PolicyUnavailable):
        BudgetBook.open(tmp_path / "torn.db")
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE budgets (x)")
    database.close()
    with pytest.raises(PolicyUnavailable) as caught:
        BudgetBook.open(tmp_path / "other.db")
    assert caught.value.reason == "budgets_damaged"


def test_what_a_killed_gateway_had_reserved_stays_charged(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "reserved\n"
        finally:
            child.send_signal(signal.SIGKILL)
    assert list(rows(path).values()) == [140]
    book = BudgetBook.open(path)
    ((name, period),) = rows(path)
    assert book.charged(name, period) == 140
    book._database.close()
