"""The first records begin a chain that a gateway goes on with."""

import json

import pytest

from gateway.admin.first_records import write_first_records
from gateway.audit.audit_place import NoPlace


def entries(audit) -> list[dict]:
    files = sorted(audit.rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_the_entries_are_chained_and_the_place_is_given_back(tmp_path):
    write_first_records(tmp_path, ({"event": "a"}, {"event": "b"}))
    write_first_records(tmp_path, ({"event": "c"},))
    assert [(entry["seq"], entry["event"]) for entry in entries(tmp_path)] == [(0, "a"), (1, "b"), (2, "c")]


async def test_a_running_loop_is_no_hindrance(tmp_path):
    write_first_records(tmp_path, ({"event": "a"},))
    assert len(entries(tmp_path)) == 1


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(NoPlace):
        write_first_records(tmp_path / "audit", ({"event": "a"},))
