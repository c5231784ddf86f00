"""Invariant: a chain read while it grows is judged by a head that is not older than the lines in doubt."""

from pathlib import Path

import pytest

from gateway.audit import audit_files
from gateway.audit.audit_files import HEAD_NAME, HeadMissing, is_chain, read_head_file, stored_lines, verify_chain
from policies.audit_chain import GENESIS, MAX_LINE_BYTES, Head, head_bytes, line_hash, segment_name
from tests.chain_lines import chain_line


def write(folder: Path, records: int) -> list[bytes]:
    lines, prev = [], GENESIS
    for seq in range(records):
        line = chain_line({"event": "test"}, seq, prev)
        prev = line_hash(line)
        lines.append(line)
    (folder / segment_name(0)).write_bytes(b"".join(line + b"\n" for line in lines))
    return lines


def put_head(folder: Path, lines: list[bytes], seq: int) -> None:
    (folder / HEAD_NAME).write_bytes(head_bytes(Head(seq, line_hash(lines[seq]), segment_name(0))))


def test_doubt_beyond_an_old_head_is_settled_by_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the head was changed; meanwhile the head moved past it, so it is tampering after all."""
    lines = write(tmp_path, 6)
    put_head(tmp_path, lines, 2)
    path = tmp_path / segment_name(0)
    path.write_bytes(path.read_bytes().replace(b'"seq":4', b'"seq":9'))
    assert verify_chain(tmp_path).unfinished is not None

    def read_then_move_on(folder: Path) -> Head:
        head = read_head_file(folder)
        put_head(tmp_path, lines, 5)
        return head

    monkeypatch.setattr(audit_files, "read_head_file", read_then_move_on)
    fault = verify_chain(tmp_path).fault
    assert fault is not None
    assert fault.seq == 4


def test_a_head_that_never_rests_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = write(tmp_path, 40)
    (tmp_path / segment_name(0)).write_bytes((tmp_path / segment_name(0)).read_bytes() + b"torn")
    seqs = iter(range(40))

    def restless(folder: Path) -> Head:
        put_head(folder, lines, next(seqs))
        return read_head_file(folder)

    monkeypatch.setattr(audit_files, "read_head_file", restless)
    assert verify_chain(tmp_path).unfinished is not None


def test_lines_are_read_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"one\ntwo\n")
    (tmp_path / "b.jsonl").write_bytes(b"x" * (MAX_LINE_BYTES + 1))
    places = [
        (line.segment, line.number, line.offset_bytes, len(line.data))
        for line in stored_lines([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    ]
    assert places == [
        ("a.jsonl", 1, 0, 4),
        ("a.jsonl", 2, 4, 4),
        ("b.jsonl", 1, 0, MAX_LINE_BYTES),
        ("b.jsonl", 2, MAX_LINE_BYTES, 1),
    ]


def test_a_chain_is_known_by_its_head_or_its_segments(tmp_path: Path) -> None:
    assert not is_chain(tmp_path)
    with pytest.raises(HeadMissing):
        read_head_file(tmp_path)
    write(tmp_path, 1)
    assert is_chain(tmp_path)
