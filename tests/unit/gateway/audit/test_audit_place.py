"""Invariant: a place is held by one process at a time, and is free again the moment that process is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.audit_place import MAX_PLACES, NoPlace, hold_place, this_host

ROOT = Path(__file__).parents[4]
HOLDER = """
import pathlib, sys
from gateway.audit.audit_place import hold_place
hold_place(pathlib.Path(sys.argv[1]), "box")
print("held", flush=True)
input()
"""


def test_the_first_gateway_gets_the_first_place(tmp_path: Path) -> None:
    place = hold_place(tmp_path / "audit", "box")
    assert (place.name, place.folder) == ("box-0", tmp_path / "audit" / "box-0")
    assert place.folder.stat().st_mode & 0o777 == 0o700
    place.close()


def test_a_second_gateway_takes_the_next_place_and_a_restarted_one_its_own(tmp_path: Path) -> None:
    first, second = hold_place(tmp_path, "box"), hold_place(tmp_path, "box")
    assert (first.name, second.name) == ("box-0", "box-1")
    first.close()
    again = hold_place(tmp_path, "box")
    assert again.name == "box-0"
    again.close()
    second.close()


def test_a_place_outlives_no_process(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={"PYTHONPATH": "."},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        assert child.stdout.readline() == b"held\n"
        beside = hold_place(tmp_path, "box")
        child.kill()
        child.wait(timeout=60)
    after = hold_place(tmp_path, "box")
    assert (beside.name, after.name) == ("box-1", "box-0")
    beside.close()
    after.close()


def test_places_are_bounded(tmp_path: Path) -> None:
    held = [hold_place(tmp_path, "box") for _ in range(MAX_PLACES)]
    with pytest.raises(NoPlace, match="are held"):
        hold_place(tmp_path, "box")
    for place in held:
        place.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(NoPlace, match="cannot use the audit folder"):
        hold_place(tmp_path / "audit", "box")


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "box-0").mkdir()
    (tmp_path / "box-0" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoPlace):
        hold_place(tmp_path, "box")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("name", "host"), [("Web_1.example", "web-1.example"), ("", "host"), ("../x", "x"), ("a" * 80, "a" * 63)]
)
def test_the_hosts_name_fits_a_path(monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert this_host().strip("-") == host
