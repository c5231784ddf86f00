"""Invariant: the rows parse back to the same records, and no cell of them is a formula to a spreadsheet."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing import export_csv
from policies.auditing.exported import Exported
from tests.exported_records import EXPORTED, exported, naughty


def read_back(text: str) -> list[dict[str, str]]:
    """Rows as an RFC 4180 reader sees them, the guards taken off."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert all(len(row) == len(rows[0]) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    return [dict(zip(rows[0], (cell.removeprefix("'") for cell in row), strict=True)) for row in rows[1:]]


def check(records: list[Exported]) -> None:
    rows = read_back(export_csv.header() + "".join(map(export_csv.row, records)))
    assert [json.loads(row["line"]) for row in rows] == [json.loads(each.line) for each in records]
    for row, each in zip(rows, records, strict=True):
        assert (row["chain"], row["seq"]) == (each.chain, str(each.seq))
        assert row["rule"] == each.text("decision", "rule")
        assert row["actor_name"] == each.name()
        assert row["object"] == each.text("change", "object")


@given(st.lists(EXPORTED, max_size=4))
def test_rows_parse_back(records: list[Exported]) -> None:
    check(records)


def test_naughty_strings_parse_back_and_compute_nothing() -> None:
    check(naughty())


@pytest.mark.parametrize(
    ("value", "written"), [("=1+1", '"\'=1+1"'), ('a"b', '"a""b"'), (None, '""'), (5, '"5"'), ("'x", "\"''x\"")]
)
def test_cells(value: object, written: str) -> None:
    assert export_csv.cell(value) == written


def test_an_act_s_details_and_a_system_s_share_a_column() -> None:
    for record in ({"change": {"details": {"a": 1}}}, {"details": {"a": 1}}):
        assert read_back(export_csv.header() + export_csv.row(exported(record)))[0]["details"] == '{"a": 1}'
