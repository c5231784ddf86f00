"""Invariant: the stretches of a time hold all of it, and what a person changed in them is found under every name."""

from pathlib import Path

import pytest

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.opened_records import OpenedRecords
from gateway.audit.index.reviewed_spans import SpanUnknown, changes_of, spans_of
from gateway.homes.home import Home
from policies.auditing.review import Span
from policies.auditing.search_filter import read_filter
from tests.stored_log import StoredChain


def record(minute: int, name: str = "anna", event: str = "key.created") -> dict[str, object]:
    stage = "admin" if event.startswith("key") else "completed"
    return {
        "ts": f"2020-11-22T10:{minute:02d}:00.000000Z",
        "event": event,
        "stage": stage,
        "actor": {"kind": "operator", "name": name},
        "change": {"object": "key:k1"},
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two chains; in one the clock was set back in between."""
    StoredChain(tmp_path / "audit" / "a").add([record(minute) for minute in (0, 10, 5, 20, 30)])
    other = [record(15, "otto"), record(40, "anna", "request.completed")]
    StoredChain(tmp_path / "audit" / "b").add(other)
    return Home(tmp_path)


def spans(home: Home, since: str, until: str) -> tuple[Span, ...]:
    index = AuditIndex(home.audit, OpenedRecords())
    index.refresh()
    with index.opened() as database:
        return spans_of(database, read_filter({"since": since, "until": until}, 0))


def test_a_time_is_a_stretch_of_each_chain_that_has_something_of_it(home: Home) -> None:
    assert spans(home, "2020-11-22T10:05:00Z", "2020-11-22T10:21:00Z") == (Span("a", 1, 3), Span("b", 0, 0))
    assert spans(home, "2020-11-22T10:25:00Z", "2020-11-22T10:35:00Z") == (Span("a", 4, 4),)
    assert spans(home, "", "") == (Span("a", 0, 4), Span("b", 0, 1))
    assert spans(home, "2021-01-01", "") == ()


def test_changes_are_counted_within_the_stretches_alone(home: Home) -> None:
    assert changes_of(home, "anna", (Span("a", 0, 4), Span("b", 0, 1))) == 5
    assert changes_of(home, "anna", (Span("a", 3, 4), Span("b", 1, 1))) == 2
    assert changes_of(home, "otto", (Span("a", 0, 4),)) == 0
    assert changes_of(home, "otto", (Span("b", 0, 0),)) == 1
    assert changes_of(home, "nobody", (Span("a", 0, 4),)) == 0


@pytest.mark.parametrize("span", [Span("a", 0, 5), Span("c", 0, 0)])
def test_what_is_not_there_cannot_be_signed(home: Home, span: Span) -> None:
    with pytest.raises(SpanUnknown, match="the log has no records"):
        changes_of(home, "anna", (span,))
