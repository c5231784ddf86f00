from pathlib import Path

from msgspec import structs
from structlog.testing import capture_logs

from gateway.homes.process_notes import KEPT_DEATHS, DeathNote, ProcessNote, ProcessNotes, read_notes
from gateway.supervision.process_ledger import ProcessLedger

DEATH = DeathNote(number=0, process="w", pid=7, kind="signal", cause="killed by SIGSEGV", at_s=1.5, lived_s=2.0)


def test_states_and_deaths_are_there_for_gateways_to_read(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    path.write_text("of the supervisor before this one")
    ledger = ProcessLedger(path)
    assert read_notes(path) == ProcessNotes()
    assert path.stat().st_size > 0
    ledger.changed(ProcessNote(process="w", state="loading", pid=7))
    ledger.changed(ProcessNote(process="v", state="serving", pid=8))
    ledger.died(DEATH)
    ledger.changed(ProcessNote(process="w", state="backing_off", pid=7))
    notes = read_notes(path)
    assert [(each.process, each.state) for each in notes.processes] == [("w", "backing_off"), ("v", "serving")]
    assert notes.deaths == (structs.replace(DEATH, number=1),)


def test_old_deaths_go_and_numbers_go_on(tmp_path: Path) -> None:
    ledger = ProcessLedger(tmp_path / "processes.json")
    for _ in range(KEPT_DEATHS + 5):
        ledger.died(DEATH)
    ledger.changed(ProcessNote(process="w"))
    numbers = [each.number for each in read_notes(tmp_path / "processes.json").deaths]
    assert numbers == list(range(6, KEPT_DEATHS + 6))


def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        ledger = ProcessLedger(tmp_path / "gone" / "processes.json")
        ledger.changed(ProcessNote(process="w"))
        (tmp_path / "gone").mkdir()
        ledger.changed(ProcessNote(process="w"))
    assert [entry["event"] for entry in logs] == ["process_notes_not_written"]
    assert read_notes(tmp_path / "gone" / "processes.json").processes == (ProcessNote(process="w"),)
