import stat
from pathlib import Path

import pytest

from gateway.homes.process_notes import DeathNote, ProcessNote, ProcessNotes, read_notes, write_notes

DEATH = DeathNote(number=1, process="w", pid=7, kind="signal", cause="killed by SIGSEGV", at_s=1.5, lived_s=2.0)
NOTES = ProcessNotes(
    processes=(ProcessNote(process="w", state="backing_off", pid=7, deaths={"signal": 1}, cause="killed by SIGSEGV"),),
    deaths=(DEATH,),
)


def test_what_was_written_is_read_and_only_by_this_user(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    (tmp_path / "processes.json.new").write_text("left by a supervisor that was killed")
    for _ in range(2):
        write_notes(path, NOTES)
    assert read_notes(path) == NOTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["processes.json"]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"processes": [{"process": 1}]}', b"\xff"])
def test_what_is_none_of_ours_says_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "processes.json"
    if content is not None:
        path.write_bytes(content)
    assert read_notes(path) == ProcessNotes()
