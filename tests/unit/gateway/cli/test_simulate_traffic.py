"""Invariant: of the log, the records of the asked-for time are read, whole lines only, from all chains."""

from pathlib import Path

import pytest

from gateway.audit.audit_files import segment_paths
from gateway.cli.output import CommandFault
from gateway.cli.progress import Progress
from gateway.cli.simulate_traffic import busiest_model, log_of
from gateway.homes.home import Home
from gateway.simulating.logged_traffic import Logged, LoggedRequest, NoTraffic
from gateway.simulating.time_window import Window
from tests.unit.gateway.cli.simulated_home import BEGIN_S, POOL, make_home, write_log
from tests.unit.gateway.simulating.logged_pool import logged_by

HOUR_S = 3600.0
ALL = Window(BEGIN_S, BEGIN_S + HOUR_S)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(make_home(tmp_path / "home"))


def read(home: Home, window: Window = ALL) -> Logged:
    return log_of(home, window, Progress("test"))


def test_all_chains_are_one_log(home: Home) -> None:
    write_log(home.audit / "box-1", logged_by(POOL, per_s=1, count=30, seed=4))
    (home.audit / "no chain").mkdir()
    logged = read(home)
    assert len(logged.requests) == 152
    assert [each.at_s for each in logged.requests] == sorted(each.at_s for each in logged.requests)
    assert (logged.limited, logged.unreadable) == (2, 0)


def test_a_line_that_is_being_written_waits(home: Home) -> None:
    with segment_paths(home.audit / "box-0")[-1].open("ab") as file:
        file.write(b'{"v":1,')
    assert read(home).unreadable == 0


def test_segments_of_another_time_are_not_read(home: Home) -> None:
    chain = home.audit / "box-0"
    first, *_, last = segment_paths(chain)
    assert len(segment_paths(chain)) > 4
    early = read(home, Window(BEGIN_S - HOUR_S, BEGIN_S + 5))
    assert len(early.requests) > 1
    spoil(first)
    assert read(home).unreadable == 3
    assert read(home, Window(BEGIN_S + 60, BEGIN_S + HOUR_S)).unreadable == 0
    spoil(last)
    assert read(home).unreadable == 6
    assert read(home, Window(BEGIN_S + 2 * HOUR_S, BEGIN_S + 3 * HOUR_S)).unreadable == 3  # its end is not known
    assert read(home, Window(BEGIN_S - 9 * HOUR_S, BEGIN_S - 8 * HOUR_S)).unreadable == 0


def spoil(segment: Path) -> None:
    """All but its first line, which says when it begins, is no record any more."""
    first, *_ = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + b"not a record\n" * 3)


def test_a_segment_that_does_not_say_when_it_begins_is_read(home: Home) -> None:
    _, second, *_ = segment_paths(home.audit / "box-0")
    second.write_bytes(b"not a record\n")
    assert read(home).unreadable == 1
    second.write_bytes(b"")
    assert read(home).unreadable == 0


def test_a_log_that_cannot_be_read_is_a_fault(home: Home) -> None:
    home.audit.rename(home.path / "elsewhere")
    assert read(home).requests == []
    home.audit.write_bytes(b"no folder")
    with pytest.raises(CommandFault, match="cannot read the audit log: "):
        read(home)


def test_which_model() -> None:
    def asked(*models: str) -> Logged:
        return Logged([LoggedRequest(at_s=0, team="t", model=model) for model in models], 0, 0)

    assert busiest_model(asked("x", "y", "y"), "") == "y"
    assert busiest_model(asked("x", "y", "y"), "x") == "x"
    with pytest.raises(NoTraffic, match="no request of that time to 'z': there are some to y, x"):
        busiest_model(asked("x", "y", "y"), "z")
    with pytest.raises(NoTraffic, match="no request of that time: name a longer stretch"):
        busiest_model(asked(), "")
