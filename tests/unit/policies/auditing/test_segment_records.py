"""Invariant: what a segment's records tell is read back as it was told, and nothing is read out of anything else."""

import json

import pytest

from policies.auditing.merkle import EMPTY, CompactRange, leaf_hash
from policies.auditing.segment_records import (
    OPENED,
    PRUNED,
    SEALED,
    Opened,
    Pruned,
    as_entry,
    event_of,
    opened_details,
    pruned_details,
    read_opened,
    read_pruned,
    recorded_s,
    sealed_details,
)

TREE = EMPTY.extended(leaf_hash(bytes([number])) for number in range(11))


def line(event: str, details: object, **more: object) -> bytes:
    return json.dumps({"event": event, "details": details, **more}).encode()


@pytest.mark.parametrize("tree", [None, EMPTY, TREE])
def test_an_opening_is_read_back(tree: CompactRange | None) -> None:
    opened = Opened(tree.size if tree is not None else 11, "000000000000.jsonl", "a" * 64, tree)
    assert read_opened(line(OPENED, opened_details(opened))) == opened


def test_a_pruning_is_read_back() -> None:
    pruned = Pruned(3, 10, "b" * 64, TREE)
    assert read_pruned(line(PRUNED, pruned_details(pruned))) == pruned


def test_a_sealing_counts_itself() -> None:
    assert sealed_details(4, TREE) == {"first_seq": 4, "count": 8, "root": TREE.root().hex()}


@pytest.mark.parametrize(
    "changed",
    [{"last_seq": 9}, {"root": "0" * 64}, {"tree": []}, {"tree": ["zz"]}, {"tree": None}, {"first_seq": "x"}],
)
def test_a_pruning_that_contradicts_itself_is_none(changed: dict[str, object]) -> None:
    assert read_pruned(line(PRUNED, {**pruned_details(Pruned(3, 10, "b" * 64, TREE)), **changed})) is None


def test_an_opening_with_a_tree_that_is_none_has_none() -> None:
    opened = read_opened(line(OPENED, {"first_seq": 3, "tree": ["aa"]}))
    assert opened is not None
    assert opened.tree is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"segment.opened audit.pruned", line("x", "segment.opened")])
def test_what_is_no_such_record(data: bytes) -> None:
    assert read_opened(data) is None
    assert read_pruned(data) is None


def test_an_event_is_found_in_records_only() -> None:
    assert event_of(line(SEALED, {})) == SEALED
    assert [event_of(data) for data in (b"", b"\xff", b'{"event":1}')] == ["", "", ""]


def test_when_a_line_was_recorded() -> None:
    assert recorded_s(b'{"ts":"1970-01-01T00:00:01.500000Z"}') == 1.5
    assert [recorded_s(data) for data in (b"", b"\xff", b"{}")] == [None, None, None]


def test_details_stand_as_they_are() -> None:
    assert as_entry({"event": PRUNED, "details": {}}, {"tree": ["a"]}) == {"event": PRUNED, "details": {"tree": ["a"]}}
