"""Invariant: what is new of another chain is told once, what is missed once until it is back; nothing else is told."""

import json

from policies.auditing.chain_seen import (
    MISSED,
    SEEN,
    ChainState,
    ChainWatch,
    Notice,
    Seen,
    read_seen,
    seen_details,
    unkept,
)
from policies.auditing.checkpoint import Checkpoint

ORIGIN = "corral/ab/box-1"


def at(size: int, root: int = 1) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([root]) * 32)


def look(watch: ChainWatch, latest: Checkpoint | None, why: str = "gone") -> list[Notice]:
    return watch.look({ORIGIN: ChainState(latest, "c2ln", "" if latest else why)})


def test_a_newer_checkpoint_is_told_once() -> None:
    watch = ChainWatch()
    assert look(watch, at(3)) == [Notice(SEEN, seen_details(at(3), "c2ln"))]
    assert look(watch, at(3)) == []
    assert [notice.details["size"] for notice in look(watch, at(4))] == [4]
    assert watch.expected == {ORIGIN}
    assert watch.look({}) == []


def test_a_chain_that_is_gone_shorter_or_another_is_missed_once_until_it_is_back() -> None:
    for latest, why in ((None, "gone"), (at(2), "shorter"), (at(3, root=2), "another_root")):
        watch = ChainWatch()
        look(watch, at(3))
        assert look(watch, latest) == [Notice(MISSED, {"origin": ORIGIN, "why": why, "last_size": 3})]
        assert look(watch, latest) == []
        assert look(watch, at(3)) == []
        assert len(look(watch, latest)) == 1


def test_a_chain_that_was_never_seen_is_missed_too() -> None:
    notice = look(ChainWatch(), None, "not_signed")
    assert notice == [Notice(MISSED, {"origin": ORIGIN, "why": "not_signed", "last_size": 0})]


def test_a_record_is_read_as_it_was_told() -> None:
    line = json.dumps({"event": SEEN, "details": seen_details(at(7), "c2ln")}).encode()
    assert read_seen(line, "box-0", 12) == Seen(at(7), "box-0", 12)
    for other in (
        b"no json",
        json.dumps({"event": MISSED, "details": seen_details(at(7), "c2ln")}).encode(),
        json.dumps({"event": SEEN, "details": {"root": "no base64!"}}).encode(),
        json.dumps({"event": SEEN, "details": {"size": "seven"}}).encode(),
    ):
        assert read_seen(other, "box-0", 12) is None


def test_what_is_not_kept_is_named_once_for_each_chain() -> None:
    told = [Seen(at(size), "box-0", size) for size in (1, 2, 3, 4)]
    assert unkept(told, [each.checkpoint for each in told]) == []
    assert unkept(told, {at(1), at(2, root=9)}) == [told[1]]
    assert unkept(told, ()) == [told[0]]
