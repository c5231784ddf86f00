from pathlib import Path
from typing import Any

from gateway.homes.process_notes import DeathNote, ProcessNote
from gateway.supervision.process_ledger import ProcessLedger
from gateway.worker_deaths import WorkerDeaths

DEATH = DeathNote(number=0, process="w", pid=7, kind="signal", cause="killed by SIGSEGV", at_s=1.5, lived_s=2.0)


def died(ledger: ProcessLedger, times: int = 1) -> None:
    for _ in range(times):
        ledger.died(DEATH)
    ledger.changed(ProcessNote(process="w", state="backing_off", deaths={"signal": times}))


def test_each_death_is_told_once_and_none_from_before(tmp_path: Path) -> None:
    path, told = tmp_path / "processes.json", list[tuple[str, dict[str, Any]]]()
    ledger = ProcessLedger(path)
    died(ledger)
    deaths = WorkerDeaths(path, lambda event, details: told.append((event, details)))
    deaths.look()
    assert told == []
    died(ledger, 2)
    deaths.look()
    deaths.look()
    assert [(event, details["number"], details["cause"]) for event, details in told] == [
        ("worker.died", 2, "killed by SIGSEGV"),
        ("worker.died", 3, "killed by SIGSEGV"),
    ]
    assert set(told[0][1]) == {"number", "process", "pid", "kind", "cause", "lived_s", "quarantined"}
    assert [each["state"] for each in deaths.shown()] == ["backing_off"]
    died(ProcessLedger(path))  # another supervisor
    deaths.look()
    assert [details["number"] for _, details in told] == [2, 3, 1]


def test_without_a_supervisor_there_is_nothing_to_tell(tmp_path: Path) -> None:
    deaths = WorkerDeaths(tmp_path / "none", lambda _event, _details: None)
    assert deaths.shown() == []


def test_deaths_are_counted_by_process_as_they_are_written_and_told_to_who_asked(tmp_path: Path) -> None:
    path, told = tmp_path / "processes.json", list[str]()
    deaths = WorkerDeaths(path, lambda _event, _details: None)
    deaths.subscribe(lambda: told.append("news"))
    assert deaths.count("w") is None
    ledger = ProcessLedger(path)
    died(ledger)
    assert (deaths.count("w"), deaths.count("other")) == (1, None)
    died(ledger, 2)
    assert deaths.count("w") == 2
    assert told == ["news", "news"]
