"""The first records begin a chain that a gateway goes on with."""

import json

import pytest

from gateway.admin.first_records import write_first_records
from gateway.audit.audit_place import NoPlace
from gateway.homes.home import Home


def entries(home: Home) -> list[dict]:
    files = sorted(home.audit.rglob("*.jsonl"))
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [entry for entry in told if not entry["event"].startswith("segment.")]


def test_the_entries_are_chained_and_the_place_is_given_back(tmp_path):
    home = Home(tmp_path)
    write_first_records(home, ({"event": "a"}, {"event": "b"}))
    write_first_records(home, ({"event": "c"},))
    assert [entry["event"] for entry in entries(home)] == ["a", "b", "c"]
    assert (home.persons.is_file(), home.persons_key.is_file()) == (True, True)


async def test_a_running_loop_is_no_hindrance(tmp_path):
    write_first_records(Home(tmp_path), ({"event": "a"},))
    assert len(entries(Home(tmp_path))) == 1


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(NoPlace):
        write_first_records(Home(tmp_path), ({"event": "a"},))
