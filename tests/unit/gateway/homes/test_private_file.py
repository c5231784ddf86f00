"""Private files are born with their mode, whatever the umask, and never replace or follow anything."""

import os

import pytest

from gateway.homes.private_file import sync_directory, write_private


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_mode_is_the_one_asked_for(tmp_path, mode, umask):
    before = os.umask(umask)
    try:
        write_private(tmp_path / "file", b"content", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_nothing_is_replaced_and_no_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "link", b"x", mode=0o600)
    assert not (tmp_path / "target").exists()


def test_syncing_needs_a_directory(tmp_path):
    sync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "none")
