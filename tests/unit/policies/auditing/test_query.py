"""Invariant: for any records and any filter the SQL finds what a plain filter over the records finds, by an index.

No text that was typed is ever part of the SQL, whatever it is (the Big List of Naughty Strings among it).
"""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.audit.index.index_file import INDEXES, TABLES
from gateway.audit.index.index_rows import Indexed, Names, insert
from gateway.audit.index.index_search import Rows
from policies.auditing import query
from policies.auditing.query import BY_PLACE, BY_TIME, COLUMNS, Places, Question
from policies.auditing.record_facts import facts_of
from policies.auditing.search_filter import EXACT, Word, matches, read_filter, read_network

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 11, 22, tzinfo=UTC)
BLNS = json.loads((Path(__file__).resolve().parents[5] / "shared/corpora/strings/blns.json").read_text())

TEAMS, KEYS, PEOPLE, MODELS = (
    ("chem", "bio", ""),
    ("k1", "k2", ""),
    ("pone", "ptwo", "alice"),
    ("qwen3:8b", "smollm2", ""),
)
ROUTES, REASONS = ("/api/chat", "/v1/models", ""), ("queue_full", "key_unknown", "expired", "")
ADDRESSES = ("10.0.0.7", "10.0.1.9", "192.0.2.1", "2001:db8::1", "2001:db8:1::5", "")
EVENTS = (
    ("request.denied", "denied", "deny"),
    ("request.completed", "completed", "allow"),
    ("policy.changed", "admin", "allow"),
)


@st.composite
def a_record(draw: st.DrawFn) -> dict[str, Any]:
    event, stage, outcome = draw(st.sampled_from(EVENTS))
    at = START + timedelta(seconds=draw(st.integers(0, 40)), microseconds=draw(st.sampled_from((0, 0, 1, 999_999))))
    record: dict[str, Any] = {
        "ts": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event": event,
        "stage": stage,
        "actor": {
            "team": draw(st.sampled_from(TEAMS)),
            "key_id": draw(st.sampled_from(KEYS)),
            "pseudonym": draw(st.sampled_from(PEOPLE)),
        },
        "src": {"ip": draw(st.sampled_from(ADDRESSES))},
        "action": {"route": draw(st.sampled_from(ROUTES)), "model": draw(st.sampled_from(MODELS))},
        "decision": {"effect": outcome, "reason": draw(st.sampled_from(REASONS))},
    }
    if stage != "admin":
        record["req_id"] = draw(st.sampled_from(("r1", "r2", "r3")))
    else:
        record["change"] = {"object": "policy", "reason": draw(st.sampled_from(("weight raised", "ticket OPS-1", "")))}
    return record


A_FILTER = st.fixed_dictionaries(
    {},
    optional={
        "since": st.integers(0, 41).map(lambda s: (START + timedelta(seconds=s)).isoformat()),
        "team": st.sampled_from(("chem", "bio", "nobody")),
        "key": st.sampled_from(("k1", "k3")),
        "model": st.sampled_from(("qwen3:8b", "none")),
        "route": st.sampled_from(("/api/chat", "/none")),
        "outcome": st.sampled_from(("allow", "deny", "shed")),
        "reason": st.sampled_from(("queue_full", "none")),
        "event": st.sampled_from(("policy.changed", "request.denied")),
        "stage": st.sampled_from(("admin", "completed")),
        "request": st.sampled_from(("r1", "r9")),
        "actor": st.sampled_from(("pone", "alice", "nobody", "both")),
        "address": st.sampled_from(("10.0.0.7", "10.0.0.0/16", "0.0.0.0/0", "2001:db8::/32", "203.0.113.0/24")),
        "text": st.sampled_from(("chat", "weight", "ops 1", "qwen*", "full queue", "nothing")),
        "ask": st.sampled_from(("refused", "changes", "policy", "old-keys", "sessions")),
    },
)


SEEN = st.sampled_from((None, None, ("chem",), ("bio", "chem"), ("nobody",), ()))
"""The teams that whoever asks may see."""
ANSWERS: dict[str, tuple[set[str], set[str]]] = {
    "refused": ({"request.denied"}, set()),
    "changes": ({"policy.changed"}, set()),
    "policy": ({"policy.changed"}, set()),
    "old-keys": (set(), {"expired"}),
    "sessions": (set(), set()),
}


def known_as(name: str) -> tuple[str, ...]:
    return ("pone", "ptwo") if name == "both" else ()


def plainly(records: list[dict[str, Any]], asked: dict[str, str], teams: tuple[str, ...] | None) -> list[int]:
    """The oracle: the places of the records that fit, newest first."""
    mine = [teams is None or record["actor"]["team"] in teams for record in records]
    found = [place for place, record in enumerate(records) if mine[place] and fits(record, asked)]
    return sorted(found, key=lambda place: (records[place]["ts"], place), reverse=True)


def fits(record: dict[str, Any], asked: dict[str, str]) -> bool:
    actor, action, decision = record["actor"], record["action"], record["decision"]
    said = {
        "team": actor["team"],
        "key": actor["key_id"],
        "model": action["model"],
        "route": action["route"],
        "outcome": decision["effect"],
        "reason": decision["reason"],
        "event": record["event"],
        "stage": record["stage"],
        "request": record.get("req_id"),
    }
    if any(said[name] != asked[name] for name in said if name in asked):
        return False
    if "ask" in asked:
        events, reasons = ANSWERS[asked["ask"]]
        if record["event"] not in events and decision["reason"] not in reasons:
            return False
    if "since" in asked and datetime.fromisoformat(record["ts"]) < datetime.fromisoformat(asked["since"]):
        return False
    if "actor" in asked and actor["pseudonym"] not in (*known_as(asked["actor"]), asked["actor"]):
        return False
    if "address" in asked and not in_network(record["src"]["ip"], asked["address"]):
        return False
    return "text" not in asked or says(record, asked["text"])


def in_network(address: str, network: str) -> bool:
    return bool(address) and ip_address(address) in ip_network(network)


def says(record: dict[str, Any], text: str) -> bool:
    parts = [record["event"], record["decision"]["reason"], *record["actor"].values(), *record["action"].values()]
    if "change" in record:
        parts += [f"{name} {value}" for name, value in record["change"].items()]
    parts.remove(record["actor"]["pseudonym"])
    spoken = "".join(sign if sign.isalnum() else " " for sign in " ".join(parts).lower()).split()
    return all(
        any(word.startswith(wish[:-1]) if wish.endswith("*") else word == wish for word in spoken)
        for wish in text.lower().split()
    )


def indexed(records: list[dict[str, Any]]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (*TABLES, *INDEXES):
        database.execute(statement)
    database.execute("INSERT INTO chains (name) VALUES ('box-0')")
    lines = [Indexed(seq, seq, b"", facts_of(record)) for seq, record in enumerate(records)]
    insert(database, Names(database), (1, 0), lines)
    return database


@pytest.mark.parametrize("many", [False, True], ids=["few rows", "many rows"])
@given(records=st.lists(a_record(), max_size=40), asked=A_FILTER, limit=st.integers(1, 50), teams=SEEN)
@settings(deadline=None)
def test_the_index_finds_what_a_plain_filter_finds(
    many: bool, records: list[dict[str, Any]], asked: dict[str, str], limit: int, teams: tuple[str, ...] | None
) -> None:
    with pytest.MonkeyPatch.context() as patch, closing(indexed(records)) as database:
        if many:  # as if everything were common: other ways through the same rows
            patch.setattr(query, "PROBE_ROWS", 2)
            patch.setattr("gateway.audit.index.index_search.PROBE_ROWS", 2)
            patch.setattr(query, "NEAR_ROWS", 5)
        rows, wanted = Rows(database), structs.replace(read_filter(asked, 0, known_as), teams=teams)
        expected = plainly(records, asked, teams)
        assert [place for place, each in enumerate(records) if matches(wanted, facts_of(each))] == sorted(expected)
        newest = rows.newest(wanted, limit)
        assert [hit.seq for hit in newest] == expected[:limit]
        assert [hit.seq for hit in rows.in_order(wanted, 1, -1, 100)] == sorted(expected)
        assert [hit.seq for hit in rows.in_order(wanted, 1, 3, 9)] == [seq for seq in sorted(expected) if 3 < seq <= 9]
        assert rows.count(wanted, 1, -1, 100) == len(expected)
        assert rows.in_order(wanted, 2, -1, 100) is not None
        assert rows.count(wanted, 2, -1, 100) == 0
        if newest:
            behind = rows.newest(wanted, 50, before=newest[0].id)
            assert [hit.seq for hit in behind] == expected[1:51]


FULL = Question(
    equal=tuple((column, 1) for column in COLUMNS if column not in ("actor", "address")),
    actors=(1, 2),
    network=read_network("10.0.0.0/8"),
    words='"a"',
)
DRIVERS = (*COLUMNS, "words", "told", BY_TIME)


def plan(statement: query.Statement) -> list[str]:
    with closing(indexed([])) as database:
        rows = database.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values)
        return [row[3] for row in rows]


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_walks_its_own_index_and_no_other(driver: str) -> None:
    steps = plan(query.newest(FULL, driver, 50))
    first = steps[0]
    if driver in ("words", "told"):
        assert first.startswith(f"SCAN {driver} VIRTUAL TABLE INDEX")
        assert "SEARCH records USING INTEGER PRIMARY KEY (rowid=?)" in steps
    elif driver == BY_TIME:
        assert first == "SEARCH records USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    else:
        assert first.startswith(f"SEARCH records USING INDEX by_{driver} ({driver}=?")


@pytest.mark.parametrize("driver", [each for each in DRIVERS if each not in ("actor", "address")])
@pytest.mark.parametrize("beside", ["actors", "network", "words", ""])
def test_one_value_is_walked_in_order_of_time_without_sorting(driver: str, beside: str) -> None:
    """Several values (persons of one name, a network) are merged by sorting."""
    given = {"equal": FULL.equal, "words": FULL.words if driver in ("words", "told") else ""}
    given |= {beside: getattr(FULL, beside)} if beside else {}
    assert not any("TEMP B-TREE" in step for step in plan(query.newest(Question(**given), driver, 50)))


@pytest.mark.parametrize("driver", [each for each in DRIVERS if each != BY_TIME])
def test_probes_count_in_the_index_alone(driver: str) -> None:
    steps = plan(query.probe(FULL, driver))
    assert any(f"by_{driver}" in step or f"SCAN {driver} VIRTUAL TABLE" in step for step in steps)


@pytest.mark.parametrize("driver", [*COLUMNS, BY_PLACE])
def test_a_chain_in_order_is_walked_by_an_index(driver: str) -> None:
    places = Places(1, -1, 9)
    for statement in (query.in_order(FULL, driver, places), query.total(FULL, driver, places)):
        assert any(f"USING INDEX by_{driver}" in step for step in plan(statement))


def test_a_rare_question_is_put_together_from_its_indexes_and_a_common_one_is_tested() -> None:
    asked = Question(any_of=(("event", (1, 2)), ("reason", (3,))), teams=(7,))
    steps = plan(query.newest(asked, query.BY_ASK, 50))
    assert sum("USING INDEX by_event" in step or "USING COVERING INDEX by_event" in step for step in steps) == 1
    assert sum("by_reason" in step for step in steps) == 1
    assert plan(query.newest(asked, BY_TIME, 50))[0] == "SEARCH records USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert len(query.ask_probes(asked)) == 3
    assert query.ask_probes(Question()) == ()


def test_no_team_known_is_no_row_whatever_else_is_asked() -> None:
    with closing(indexed([])) as database:
        assert Rows(database).question(structs.replace(read_filter({}, 0), teams=("chem",))) is None
        assert Rows(database).question(structs.replace(read_filter({}, 0), teams=())) is None


def test_the_floor_of_the_newest_is_found_by_id() -> None:
    assert plan(query.floor(Question())) == ["SEARCH records USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]


def test_all_drivers_of_a_question_are_named_once() -> None:
    assert set(query.drivers(FULL)) == {*COLUMNS, "words", "told"}
    assert query.drivers(Question()) == ()


def test_ids_sort_as_times_do_and_stay_within_64_bits() -> None:
    assert query.row_id(5) < query.row_id(6)
    assert query.row_id(-1) == query.row_id(0) == 0
    assert query.row_id(2**60) == query.row_id(2**53) < 2**63


def test_words_become_quoted_terms() -> None:
    assert query.words_expression((Word("a"), Word("b", prefix=True))) == '"a" AND "b" *'


@pytest.mark.parametrize("name", [*EXACT, "actor", "text", "address", "since"])
def test_naughty_strings_ask_nothing_but_themselves(name: str) -> None:
    """Either the string is refused in words, or it finds exactly the record that says it."""
    if name in ("outcome", "stage", "address", "since"):
        for text in filter(None, BLNS):
            with pytest.raises(ValueError, match=name if name != "address" else "address"):
                read_filter({name: text}, 0)
        return
    records = [_saying(name, text) for text in BLNS]
    with closing(indexed(records)) as database:
        rows = Rows(database)
        for place, text in enumerate(BLNS):
            try:
                wanted = read_filter({name: text}, 0)
            except ValueError:
                continue
            if not text:
                continue
            found = {hit.seq for hit in rows.newest(wanted, 10_000)}
            assert place in found
            if name != "text":
                assert found == {each for each, other in enumerate(BLNS) if other == text}


def _saying(name: str, text: str) -> dict[str, Any]:
    record: dict[str, Any] = {"event": "e", "stage": "admin", "actor": {}, "action": {}, "decision": {}}
    places = {
        "team": ("actor", "team"),
        "key": ("actor", "key_id"),
        "actor": ("actor", "name"),
        "model": ("action", "model"),
        "route": ("action", "route"),
        "reason": ("decision", "reason"),
    }
    if name in places:
        part, field = places[name]
        record[part][field] = text
    elif name == "text":
        record["change"] = {"reason": text}
    else:
        record[{"event": "event", "request": "req_id"}[name]] = text
    return record
