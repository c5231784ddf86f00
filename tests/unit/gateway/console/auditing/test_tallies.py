"""Invariant: sums of any rows are those of a plain count, an address is new exactly when no earlier row has it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.index.index_file import INDEXES, TABLES
from gateway.audit.index.index_rows import Indexed, Names, insert
from gateway.audit.index.index_search import Rows
from gateway.console.auditing import tallies
from policies.auditing.record_facts import facts_of
from policies.auditing.search_filter import Filter

START = datetime(2026, 11, 22, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
END_US = START_US + 3_600_000_000
ADDRESSES = ("10.0.0.7", "192.0.2.1", "2001:db8::1", "")


@st.composite
def a_record(draw: st.DrawFn) -> dict[str, Any]:
    at = START + timedelta(seconds=draw(st.integers(0, 60)))
    return {
        "ts": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event": "request.denied",
        "stage": "denied",
        "req_id": "r",
        "actor": {
            "team": draw(st.sampled_from(("chem", "bio", ""))),
            "key_id": draw(st.sampled_from(("k1", "k2", ""))),
        },
        "src": {"ip": draw(st.sampled_from(ADDRESSES))},
        "decision": {"effect": "deny", "reason": draw(st.sampled_from(("a", "b", "")))},
    }


@contextmanager
def indexed(records: list[dict[str, Any]]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for statement in (*TABLES, *INDEXES):
            database.execute(statement)
        database.execute("INSERT INTO chains (name) VALUES ('box-0')")
        lines = [Indexed(seq, seq, b"", facts_of(record)) for seq, record in enumerate(records)]
        insert(database, Names(database), (1, 0), lines)
        yield database


def at_us(record: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(record["ts"]).timestamp() * 1_000_000)


RECORDS = st.lists(a_record(), max_size=40)
TEAMS = st.sampled_from((None, ("chem",), ("chem", "bio"), ("nobody",), ()))


@given(records=RECORDS)
@settings(deadline=None, max_examples=60)
def test_groups_add_up(records: list[dict[str, Any]]) -> None:
    with indexed(records) as database:
        found = tallies.groups(database, Rows(database).newest(Filter(), 1000))
    plain = Counter((each["decision"]["reason"], each["actor"]["team"], each["actor"]["key_id"]) for each in records)
    assert sorted(group.count for group in found) == sorted(plain.values())
    assert sum(group.count for group in found) == len(records)
    assert all(group.first_us <= group.last_us for group in found)


@given(records=RECORDS, since=st.integers(0, 61), teams=TEAMS)
@settings(deadline=None, max_examples=60)
def test_from_where_a_key_was_used(records: list[dict[str, Any]], since: int, teams: tuple[str, ...] | None) -> None:
    since_us = START_US + since * 1_000_000
    with indexed(records) as database:
        found = tallies.addresses_of(database, "k1", since_us, teams)
    plain = Counter(
        each["src"]["ip"]
        for each in records
        if each["actor"]["key_id"] == "k1" and each["src"]["ip"] and at_us(each) >= since_us
        and (teams is None or each["actor"]["team"] in teams)
    )  # fmt: skip
    assert {each.address: each.count for each in found} == plain
    assert [each.count for each in found] == sorted(plain.values(), reverse=True)


@pytest.mark.parametrize("many", [False, True], ids=["few rows", "many rows"])
@given(records=RECORDS, since=st.integers(0, 61), teams=TEAMS)
@settings(deadline=None, max_examples=60)
def test_an_address_is_new_when_no_earlier_row_has_it(
    many: bool, records: list[dict[str, Any]], since: int, teams: tuple[str, ...] | None
) -> None:
    since_us = START_US + since * 1_000_000
    with pytest.MonkeyPatch.context() as patch, indexed(records) as database:
        patch.setattr(tallies, "PROBE_ROWS", 1 if many else 5_000)
        found, complete = tallies.new_addresses(database, since_us, END_US, teams)
    named = [(each["actor"]["key_id"], each["src"]["ip"], each) for each in records]
    named = [each for each in named if each[0] and each[1]]
    before = {(key, address) for key, address, each in named if at_us(each) < since_us}
    keys_before = {each["actor"]["key_id"] for each in records if at_us(each) < since_us}
    plain = Counter(
        (key, address)
        for key, address, each in named
        if at_us(each) >= since_us and (teams is None or each["actor"]["team"] in teams)
    )
    assert complete
    assert {(each.key, each.address): each.count for each in found} == {
        pair: count for pair, count in plain.items() if pair not in before
    }
    assert all(each.first_use == (each.key not in keys_before) for each in found)


def test_more_pairs_than_are_looked_at_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "PAIRS", 2)
    records = [
        {
            "ts": START.isoformat(),
            "event": "x",
            "req_id": "r",
            "actor": {"key_id": f"k{each}"},
            "src": {"ip": "10.0.0.1"},
        }
        for each in range(4)
    ]
    with indexed(records) as database:
        found, complete = tallies.new_addresses(database, START_US, END_US)
    assert (len(found), complete) == (2, False)


def test_a_record_is_found_by_its_place() -> None:
    with indexed([{"ts": START.isoformat(), "event": "x"}]) as database:
        hit = tallies.hit_at(database, "box-0", 0)
        assert hit is not None
        assert (hit.seq, hit.chain) == (0, 1)
        assert tallies.hit_at(database, "box-0", 1) is None
        assert tallies.hit_at(database, "other", 0) is None
