"""Invariant: a line is found at its place in the plain form of its segment, however that is stored, or not at all."""

import hashlib
from pathlib import Path

import pytest
import zstandard

from gateway.audit.audit_files import segment_at
from gateway.audit.index import segment_lines
from gateway.audit.index.segment_lines import lines_at, lines_from
from policies.audit_chain import MAX_LINE_BYTES

NAME = "000000000000.jsonl"
LINES = [b'{"seq":%d}' % number for number in range(100)]
STARTS = [sum(len(line) + 1 for line in LINES[:number]) for number in range(100)]


@pytest.fixture(params=["plain", "compressed"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(segment_lines, "CHUNK_BYTES", 7)
    data = b"\n".join([*LINES, b""])
    if request.param == "plain":
        (tmp_path / NAME).write_bytes(data + b'{"seq":100')
    else:
        (tmp_path / f"{NAME}.zst").write_bytes(zstandard.ZstdCompressor().compress(data + b'{"seq":100'))
    return tmp_path


def segment_in(folder: Path):  # type: ignore[no-untyped-def]
    (path,) = folder.iterdir()
    return segment_at(path)


@pytest.mark.parametrize("first", [0, 1, 57, 99])
def test_reading_on_begins_anywhere_and_ends_before_what_does_not_end(folder: Path, first: int) -> None:
    assert list(lines_from(segment_in(folder), STARTS[first])) == [*zip(STARTS[first:], LINES[first:], strict=True)]


def test_lines_are_found_by_their_places(folder: Path) -> None:
    wanted = (0, 3, 4, 99)
    assert list(lines_at(folder, NAME, [STARTS[number] for number in wanted])) == [LINES[number] for number in wanted]


@pytest.mark.parametrize("start", [10**6, len(b"\n".join([*LINES, b""]))])
def test_where_no_whole_line_begins_there_is_none(folder: Path, start: int) -> None:
    assert list(lines_at(folder, NAME, [start])) == [None]
    assert list(lines_from(segment_in(folder), start)) == []


def test_what_is_no_segment_is_not_there(tmp_path: Path) -> None:
    for name in ("notes.txt", "000000000007.jsonl"):
        with pytest.raises(FileNotFoundError):
            list(lines_at(tmp_path, name, [0]))


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_compressed_segment_ends_where_it_cannot_be_read(tmp_path: Path, damage: str) -> None:
    lines = (hashlib.sha256(b"%d" % number).hexdigest().encode() + b"\n" for number in range(5000))
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(b"".join(lines))
    half = len(packed) // 2
    ends = {"cut": packed[:half], "changed": packed[:half] + b"\xff" * len(packed)}
    (tmp_path / f"{NAME}.zst").write_bytes(ends[damage])
    found = list(lines_from(segment_in(tmp_path), 0))
    assert len(found) < 5000
    assert list(lines_at(tmp_path, NAME, [65 * 4000])) == [None]


def test_an_endless_line_is_none(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"x" * (MAX_LINE_BYTES + 10) + b"\n")
    assert list(lines_from(segment_in(tmp_path), 0)) == []
