"""Invariant: what is kept comes back as it was typed, whole, and everything else is said in one line."""

import stat
from pathlib import Path

import pytest

from gateway.audit.index import saved_queries
from gateway.audit.index.saved_queries import FILE_NAME, QueryFault, SavedQueries

ASKED = {"since": "yesterday", "text": "naïve \u6570 =1+1"}


def test_they_come_back_as_they_were_typed_for_the_owner_alone(tmp_path: Path) -> None:
    queries = SavedQueries(tmp_path)
    assert queries.all() == {}
    queries.put("refused", ASKED)
    queries.put("keys-of-chem", {"team": "chem"})
    assert SavedQueries(tmp_path).get("refused") == ASKED
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    queries.remove("refused")
    assert queries.all() == {"keys-of-chem": {"team": "chem"}}
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "../x", "x" * 65, "a\n"])
def test_names_are_small_letters_digits_and_hyphens(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueryFault, match="is no name for a search"):
        SavedQueries(tmp_path).put(name, {})


def test_what_is_there_is_not_replaced_and_what_is_not_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = SavedQueries(tmp_path)
    queries.put("a", {})
    with pytest.raises(QueryFault, match="--remove a' first"):
        queries.put("a", {})
    for act in (queries.get, queries.remove):
        with pytest.raises(QueryFault, match="no search is kept as 'b'"):
            act("b")
    monkeypatch.setattr(saved_queries, "MAX_QUERIES", 1)
    with pytest.raises(QueryFault, match="remove one first"):
        queries.put("b", {})


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_file_is_said_and_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(QueryFault, match="cannot be read"):
        SavedQueries(tmp_path).put("a", {})
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(QueryFault, match="cannot be written"):
        SavedQueries(tmp_path / "gone").put("a", {})
