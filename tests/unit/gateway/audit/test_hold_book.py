"""Invariant: holds that cannot be read are never taken for none."""

import os
from pathlib import Path

import pytest

from gateway.audit.hold_book import HOLDS_NAME, HoldBook, HoldsBroken
from policies.auditing.segment_life import Hold


def test_holds_are_read_back(tmp_path: Path) -> None:
    holds = (Hold(id="a", reason="r"), Hold(id="b", from_s=1.0, to_s=2.0, set_s=3.0, ticket="t"))
    HoldBook(tmp_path).save(holds)
    assert HoldBook(tmp_path).holds() == holds
    assert (tmp_path / HOLDS_NAME).stat().st_mode & 0o777 == 0o600


def test_a_home_without_the_file_has_none(tmp_path: Path) -> None:
    assert HoldBook(tmp_path).holds() == ()


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[{"id":1}]', b"\xff"])
def test_a_broken_file_is_a_fault(tmp_path: Path, data: bytes) -> None:
    (tmp_path / HOLDS_NAME).write_bytes(data)
    with pytest.raises(HoldsBroken, match=r"put the file back.*nothing is pruned"):
        HoldBook(tmp_path).holds()


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    os.mkdir(tmp_path / HOLDS_NAME)  # noqa: PTH102 (a folder in its place, which root cannot read either)
    with pytest.raises(HoldsBroken, match="Is a directory"):
        HoldBook(tmp_path).holds()
