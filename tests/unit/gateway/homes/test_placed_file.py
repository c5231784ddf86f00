"""A file that is held open and may no longer lie at its path."""

import os
from pathlib import Path

import pytest

from gateway.homes import placed_file
from gateway.homes.placed_file import PlacedFile
from policies.errors import PolicyUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    path.write_text("one")
    return path


def refusal(file: PlacedFile) -> str:
    with pytest.raises(PolicyUnavailable) as refused:
        file.require_same()
    return refused.value.reason


def test_the_state_tells_a_change_of_the_content(path: Path) -> None:
    file = PlacedFile(path, "store")
    assert file.require_same() == file.first
    path.write_text("another")
    assert file.require_same() != file.first


def test_nothing_there(path: Path) -> None:
    file = PlacedFile(path, "store")
    path.unlink()
    assert refusal(file) == "store_away"
    with pytest.raises(PolicyUnavailable, match="store_away"):
        PlacedFile(path, "store")


def test_another_file_with_the_same_content(path: Path, tmp_path: Path) -> None:
    file = PlacedFile(path, "store")
    other = tmp_path / "other.db"
    other.write_text("one")
    path.rename(tmp_path / "kept.db")
    other.rename(path)
    assert refusal(file) == "store_replaced"
    (tmp_path / "kept.db").rename(path)
    assert file.require_same() == file.first


def test_one_that_may_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PlacedFile(path, "store")
    monkeypatch.setattr(placed_file.os, "access", lambda _path, mode: mode == os.R_OK)
    assert refusal(file) == "store_unreadable"
