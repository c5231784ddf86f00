"""Invariant: whoever asks the doctor hears of a disk that fills up before it is full."""

from pathlib import Path

import pytest

from gateway.audit.hold_book import HOLDS_NAME
from gateway.doctor.audit_disk_check import audit_disk_complaints, room_complaints
from policies.auditing.disk_room import Room


@pytest.mark.parametrize(
    ("percent", "words"),
    [(50, []), (75, ["it is low"]), (90, ["nearly full"]), (99, ["no request is served, since"])],
)
def test_what_is_said_of_the_disk(percent: int, words: list[str]) -> None:
    found = list(room_complaints(Path("/x"), Room(percent, 100 - percent)))
    assert [word for word, complaint in zip(words, found, strict=True) if word in complaint.why] == words


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (complaint,) = audit_disk_complaints(tmp_path / "none")
    assert "No such file" in complaint.what


def test_holds_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / HOLDS_NAME).write_bytes(b"x")
    assert any("legal holds" in complaint.what for complaint in audit_disk_complaints(tmp_path))
