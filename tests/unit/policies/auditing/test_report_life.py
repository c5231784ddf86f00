"""Invariant: whenever no gateway served, a clock moved, or records went, the report says so."""

import pytest

from policies.auditing.report_life import Life
from policies.auditing.report_line import read_report_line
from tests.report_lines import AFTER, BEFORE, IN, LATER, OCTOBER, line, stored, told


def lived(*lines: object, most_rows: int = 1000, chain: str = "box-0") -> dict:
    life = Life(OCTOBER, most_rows)
    life.begin(chain)
    for each in lines:
        life.take(each)
    life.end()
    return life.told()


def test_a_gateway_that_stopped_and_one_that_died() -> None:
    data = lived(
        told("gateway.started", BEFORE),
        told("gateway.stopped", IN),
        told("gateway.started", "2026-10-10T11:00:00.000000Z"),
        told("worker.counted", "2026-10-10T12:00:00.000000Z"),
        told("gateway.started", LATER),
        told("gateway.stopped", "2026-10-21T10:00:00.000000Z"),
    )
    assert [(row["since"][8:13], row["until"][8:13], row["died"]) for row in data["away"]] == [
        ("10T10", "10T11", False),
        ("10T12", "20T10", True),
        ("21T10", "", False),
    ]


def test_what_ended_before_the_period_is_left_out() -> None:
    early = "2026-09-01T10:00:00.000000Z"
    data = lived(told("gateway.stopped", early), told("gateway.started", BEFORE), told("gateway.draining", IN))
    assert data["away"] == []


def clocked(ts: str, mono_s: float, boot: str = "b") -> object:
    return read_report_line(stored("x", ts, mono_ns=int(mono_s * 1e9), boot_id=boot, stage="system"))


def test_a_clock_that_moved() -> None:
    data = lived(
        clocked(BEFORE, 0), clocked("2026-09-20T10:00:10.000000Z", 1),  # before the period
        clocked(IN, 100, "c"), clocked("2026-10-10T10:00:01.000000Z", 101.5, "c"),
        clocked("2026-10-10T10:01:01.000000Z", 101.5, "c"), clocked("2026-10-10T09:00:00.000000Z", 5, "d"),
        told("y", IN),
    )  # fmt: skip
    assert [(row["at"][11:19], row["moved_s"]) for row in data["clock_moved"]] == [("10:01:01", 60.0)]


def test_a_time_that_is_none() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        lived(clocked("yesterday", 0))


def test_pruning_restore_and_recovery() -> None:
    data = lived(
        told("audit.pruned", BEFORE, first_seq=0, last_seq=1),
        told("audit.pruned", IN, first_seq=2, last_seq=3),
        told("audit.recovered", BEFORE, torn_bytes=1),
        told("audit.recovered", IN, torn_bytes=7),
        told("home.restored", BEFORE),
        told("home.restored", "2026-09-01T10:00:00.000000Z"),
    )
    assert data["pruned"] == [{"chain": "box-0", "at": IN, "first_seq": 2, "last_seq": 3}]
    assert data["recovered"] == [{"chain": "box-0", "at": IN, "torn_bytes": 7}]
    assert data["last_restore"] == {"at": BEFORE, "chain": "box-0"}
    assert lived()["last_restore"] is None


def test_what_is_worth_a_look() -> None:
    data = lived(
        *(line("worker.died", ts, stage="system", code="C3021W") for ts in (BEFORE, IN, LATER)),
        line("target.ready", IN, stage="system", code="C3020I"),
        line("request.failed", IN, stage="completed", code="C1001E"),
    )
    assert data["warnings"] == [{"event": "worker.died", "code": "C3021W", "count": 2}]


def test_more_rows_than_are_listed() -> None:
    data = lived(*(told("audit.pruned", IN, first_seq=n, last_seq=n) for n in range(3)), most_rows=2)
    assert (len(data["pruned"]), data["listed_of"]["pruned"]) == (2, 3)


def test_each_chain_by_itself() -> None:
    life = Life(OCTOBER)
    life.begin("box-0")
    life.take(told("gateway.started", IN))
    life.end()
    life.begin("box-1")
    life.take(told("gateway.started", LATER))
    life.take(told("x", AFTER))
    life.end()
    assert life.told()["away"] == []
