"""Invariant: what is in force is told at the start, at a change and each day, and nothing that was told is lost."""

from typing import Any

import pytest

from gateway.audit.standing_records import PART, StandingRecords, parts_of
from policies.errors import AuditUnavailable

DAY_S = 86_400.0


class Told:
    """A log in memory, and what is in force."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.now_s = 100 * DAY_S + 3600.0
        self.fails = False
        self.keys: list[dict[str, Any]] = [{"id": "a", "last_used_s": 1.0}, {"id": "b"}]
        self.unsafe: list[str] = []
        subjects = {
            "inventory.keys": lambda: {"keys": self.keys},
            "inventory.settings": lambda: {"unsafe": self.unsafe, "mode": "x"},
        }
        self.records = StandingRecords(subjects, self.record, lambda: self.now_s)

    async def record(self, entry: dict[str, Any]) -> None:
        if self.fails:
            raise AuditUnavailable("audit_disk_full")
        self.entries.append(entry)

    async def looked(self) -> list[tuple[str, Any]]:
        """What one look tells."""
        self.entries.clear()
        await self.records.look()
        return [
            (entry["event"], entry["details"].get("keys", entry["details"].get("unsafe"))) for entry in self.entries
        ]


@pytest.fixture
def told() -> Told:
    return Told()


async def test_at_the_start_and_each_day(told: Told) -> None:
    whole = [("inventory.keys", told.keys), ("inventory.settings", [])]
    assert await told.looked() == whole
    assert await told.looked() == []
    told.now_s = 101 * DAY_S + 59.0
    assert await told.looked() == []
    told.now_s = 101 * DAY_S + 60.0
    assert await told.looked() == whole


async def test_a_change(told: Told) -> None:
    await told.looked()
    told.keys = [{"id": "a", "last_used_s": 9.0}, {"id": "b", "team": "x"}, {"id": "c"}]
    told.unsafe = ["config.yaml: public.unsafe_no_tls"]
    assert await told.looked() == [
        ("inventory.keys", [{"id": "b", "team": "x"}, {"id": "c"}]),
        ("inventory.settings", told.unsafe),
    ]


async def test_a_use_is_no_change_and_a_key_that_is_gone_leaves_an_empty_telling(told: Told) -> None:
    await told.looked()
    told.keys = [{"id": "a", "last_used_s": 9.0}, {"id": "b"}]
    assert await told.looked() == []
    told.keys = [{"id": "b"}]
    assert await told.looked() == [("inventory.keys", [])]


async def test_what_could_not_be_recorded_is_told_again(told: Told) -> None:
    told.fails = True
    assert await told.looked() == []
    told.fails = False
    assert len(await told.looked()) == 2


def test_long_lists_take_several_records() -> None:
    things = list(range(2 * PART + 1))
    parts = parts_of({"keys": things, "more": [1], "mode": "x"})
    assert [part["part"] for part in parts] == [1, 2, 3]
    assert [each for part in parts for each in part["keys"]] == things
    assert [part["more"] for part in parts] == [[1], [], []]
    assert ["mode" in part for part in parts] == [True, False, False]
    assert parts_of({"mode": "x"}) == [{"part": 1, "parts": 1, "mode": "x"}]
    assert parts_of({"keys": []}) == [{"part": 1, "parts": 1, "keys": []}]
