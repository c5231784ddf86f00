"""Rows and records agree, and every column of the table is a field of the record."""

import re
import sqlite3
from dataclasses import replace

import pytest

from gateway.keys.key_rows import COLUMNS, CREATE, SELECT, UPSERT, read_row, write_row
from policies.credentials.api_key import mint
from policies.credentials.key_record import new_record

RECORD = replace(
    new_record(mint(bytes), {1: b"p" * 32}, 1000.0, team="blue", scopes=frozenset({"models", "inference"})),
    networks=("10.0.0.0/8", "::1/128"),
)


@pytest.fixture
def database():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.execute(CREATE)
    yield database
    database.close()


def test_a_record_comes_back_as_it_went(database):
    database.execute(UPSERT, write_row(RECORD))
    assert read_row(database.execute(SELECT).fetchone()) == RECORD


def test_the_columns_are_the_fields(database):
    found = [row["name"] for row in database.execute("PRAGMA table_info(keys)")]
    assert found == list(COLUMNS)


def test_values_are_bound_and_never_part_of_a_statement():
    assert not re.search(r"['\"{}%]", UPSERT + SELECT)


def test_the_table_refuses_another_type_or_length(database):
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(UPSERT, write_row(RECORD) | {"digest": b"short"})
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(UPSERT, write_row(RECORD) | {"created_s": "soon"})
