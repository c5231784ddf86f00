"""Only files are read, and nothing is waited for."""

import os
from pathlib import Path

import pytest

from gateway.homes.plain_file import open_plain


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with open_plain(path) as file:
        assert file.read() == b"content"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is not a file"):
        open_plain(tmp_path / "pipe")


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/dev/full")])
def test_a_device_is_no_file(path: Path) -> None:
    with pytest.raises(OSError, match="is not a file"):
        open_plain(path)


def test_what_is_not_there_or_a_folder_is_said_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        open_plain(tmp_path)
