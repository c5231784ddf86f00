"""What was deleted is in no byte of the file, whatever page it lay in."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.homes.cleared_database import clear_traces


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_no_trace_in_file_or_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE texts (text TEXT)")
        database.executemany("INSERT INTO texts VALUES (?)", [(f"canary {number} " * 50,) for number in range(50)])
        assert b"canary" in content(tmp_path)
        database.execute("DELETE FROM texts")
        clear_traces(database)
        assert b"canary" not in content(tmp_path)


def test_a_reader_in_the_way_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0.05)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE texts (text TEXT)")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM texts").fetchall()
            database.execute("INSERT INTO texts VALUES ('x')")
            with pytest.raises(sqlite3.OperationalError, match="another process holds the file"):
                clear_traces(database)
