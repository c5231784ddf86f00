"""Only files are read, and nothing is waited for."""

import os
from pathlib import Path

import pytest

from gateway.homes.plain_file import open_plain, read_secret_line


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


def test_a_secret_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"  s3cret: with more \r\n")
    assert read_secret_line(path, 64) == "s3cret: with more"
    path.write_bytes(b"x" * 64)
    assert len(read_secret_line(path, 64)) == 64


@pytest.mark.parametrize("data", [b"", b" \n", b"two\nlines", b"\xe9", b"nul\0", b"x" * 65])
def test_what_is_no_line_of_a_secret(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "secret").write_bytes(data)
    with pytest.raises(ValueError, match=r"not one line|ascii"):
        read_secret_line(tmp_path / "secret", 64)
