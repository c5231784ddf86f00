import os
from pathlib import Path

import pytest

from gateway.homes import run_folder
from gateway.homes.run_folder import PID_FILE, RunFolderFault, only_supervisor, open_run_folder


def test_the_folder_is_made_private_and_kept_so(tmp_path: Path) -> None:
    folder = open_run_folder(tmp_path / "run")
    folder.chmod(0o755)
    assert open_run_folder(folder).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(RunFolderFault, match="is not a folder of this user"):
        open_run_folder(tmp_path / "link")
    monkeypatch.setattr(run_folder.os, "geteuid", lambda: 4711)
    with pytest.raises(RunFolderFault, match="remove it"):
        open_run_folder(tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderFault, match="cannot make"):
        open_run_folder(tmp_path / "gone" / "run")


def test_there_is_one_supervisor_and_the_second_is_told_which(tmp_path: Path) -> None:
    with only_supervisor(tmp_path):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(RunFolderFault, match=f"already serves .* \\(process {os.getpid()}\\)"),
            only_supervisor(tmp_path),
        ):
            raise AssertionError
    with only_supervisor(tmp_path):
        pass


def test_a_pid_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderFault, match="cannot open"), only_supervisor(tmp_path):
        raise AssertionError


def test_sockets_of_an_earlier_plan_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("worker-7.sock", "verified.json"):
        (tmp_path / name).touch()
    with only_supervisor(tmp_path):
        assert sorted(each.name for each in tmp_path.iterdir()) == [PID_FILE, "verified.json"]
