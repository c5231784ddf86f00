"""Invariant: short work says nothing, long work ever more seldom."""

import pytest

from gateway.cli.progress import Progress


class Told:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.lines: list[str] = []
        self.progress = Progress("corral x", lambda: self.now_s, self.lines.append)

    def after(self, *times_s: float) -> list[str]:
        for elapsed_s in times_s:
            self.now_s = 100 + elapsed_s
            self.progress.tell(lambda: "half")
        return self.lines


def test_nothing_at_first_and_then_ever_more_seldom() -> None:
    assert Told().after(0, 1.9) == []
    told = Told().after(*(n / 10 for n in range(1000)))
    assert told[0] == "corral x: half after 2 s"
    assert 8 <= len(told) <= 12


def test_things_pass_and_are_counted() -> None:
    told = Told()
    told.now_s = 103
    assert list(told.progress.count(range(2500), "rows")) == list(range(2500))
    assert told.lines == ["corral x: read 1000 rows after 3 s"]


def test_it_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 5.0])
    Progress("corral x", lambda: next(times)).tell(lambda: "half")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "corral x: half after 5 s\n")
