"""Invariant: a chain that is whole up to its head is made fit to go on; any other is refused and left untouched."""

from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME, segment_paths, verify_chain
from gateway.audit.audit_recovery import ChainDamaged, first_head, recover
from gateway.audit.audit_writer import MAX_COMMIT_RECORDS, ChainEnd, ChainWriter
from policies.audit_chain import GENESIS, encode_entry, line_hash
from tests.chain_lines import chain_line


def body(number: int) -> bytes:
    return encode_entry({"event": "test", "number": number})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chain of 20 records in segments of some 600 bytes, its head before the last commit kept in `old-head`."""
    disk = RealDisk()
    replace_file(disk, tmp_path / HEAD_NAME, first_head())
    writer = ChainWriter(tmp_path, disk, 600, ChainEnd())
    for number in range(19):
        writer.commit([body(number)])
    (tmp_path / "old-head").write_bytes((tmp_path / HEAD_NAME).read_bytes())
    writer.commit([body(19)])
    writer.close()
    return tmp_path


def last_segment(folder: Path) -> Path:
    return segment_paths(folder)[-1]


def torn_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.torn")}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_new_folder_begins_a_chain(tmp_path: Path) -> None:
    recovered = recover(tmp_path, RealDisk())
    assert recovered.end == ChainEnd()
    assert not recovered.unclean


def test_a_clean_chain_goes_on_where_it_ended(folder: Path) -> None:
    recovered = recover(folder, RealDisk())
    assert not recovered.unclean
    assert recovered.end.next_seq == 20
    assert recovered.end.segment == last_segment(folder).name
    assert recovered.end.segment_bytes == last_segment(folder).stat().st_size


def test_a_chain_that_got_no_line_goes_on_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / HEAD_NAME).write_bytes(first_head())
    assert recover(tmp_path, RealDisk()).end == ChainEnd()


def test_a_torn_tail_is_moved_aside(folder: Path) -> None:
    with last_segment(folder).open("ab") as file:
        file.write(b'{"v":1,"seq":20,"ev')
    recovered = recover(folder, RealDisk())
    assert (recovered.torn_bytes, recovered.beyond_head, recovered.end.next_seq) == (19, 0, 20)
    assert torn_files(folder) == {recovered.torn_name: b'{"v":1,"seq":20,"ev'}
    assert verify_chain(folder).unfinished is None


def test_torn_files_never_replace_each_other(folder: Path) -> None:
    for _ in range(3):
        with last_segment(folder).open("ab") as file:
            file.write(b"torn")
        recover(folder, RealDisk())
    assert sorted(torn_files(folder)) == [f"000000000020-{number}.torn" for number in range(3)]


def test_sound_lines_beyond_the_head_are_kept(folder: Path) -> None:
    (folder / "old-head").rename(folder / HEAD_NAME)
    recovered = recover(folder, RealDisk())
    assert (recovered.beyond_head, recovered.torn_bytes, recovered.end.next_seq) == (1, 0, 20)
    assert recovered.unclean


def test_a_torn_segment_after_the_heads_own_goes_whole(folder: Path) -> None:
    (folder / "000000000020.jsonl").write_bytes(b"\0" * 50)
    recovered = recover(folder, RealDisk())
    assert (recovered.torn_bytes, recovered.end.next_seq) == (50, 20)
    assert not (folder / "000000000020.jsonl").exists()


def test_an_empty_segment_after_the_heads_own_goes(folder: Path) -> None:
    (folder / "000000000020.jsonl").touch()
    assert not recover(folder, RealDisk()).unclean
    assert not (folder / "000000000020.jsonl").exists()


def test_everything_after_the_first_line_that_does_not_fit_goes(folder: Path) -> None:
    last = last_segment(folder)
    with last.open("ab") as file:
        file.write(b"zeros\n")
    (folder / "000000000021.jsonl").write_bytes(b"more\n")
    recovered = recover(folder, RealDisk())
    assert torn_files(folder) == {recovered.torn_name: b"zeros\nmore\n"}
    assert segment_paths(folder)[-1] == last


def damage_changed_line(folder: Path) -> None:
    changed = last_segment(folder).read_bytes().replace(b'"number":16', b'"number":96')
    last_segment(folder).write_bytes(changed)


def damage_cut_tail(folder: Path) -> None:
    lines = last_segment(folder).read_bytes().splitlines(keepends=True)
    last_segment(folder).write_bytes(b"".join(lines[:-1]))


def damage_removed_segment(folder: Path) -> None:
    last_segment(folder).unlink()


def damage_removed_head(folder: Path) -> None:
    (folder / HEAD_NAME).unlink()


def damage_changed_head(folder: Path) -> None:
    (folder / HEAD_NAME).write_bytes((folder / HEAD_NAME).read_bytes().replace(b'"seq":19', b'"seq":18'))


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (damage_changed_line, "changed"),
        (damage_cut_tail, "tail was cut"),
        (damage_removed_segment, "tail was cut"),
        (damage_removed_head, "head is missing"),
        (damage_changed_head, "head was changed"),
    ],
)
def test_a_damaged_chain_is_refused_and_left_untouched(folder: Path, damage: object, text: str) -> None:
    assert callable(damage)
    damage(folder)
    before = snapshot(folder)
    with pytest.raises(ChainDamaged, match=text) as caught:
        recover(folder, RealDisk())
    assert "keep it as evidence" in str(caught.value)
    assert snapshot(folder) == before


def test_an_old_head_put_back_is_noticed(tmp_path: Path) -> None:
    """More lines beyond the head than one commit can leave there."""
    (tmp_path / HEAD_NAME).write_bytes(first_head())
    lines, prev = [], GENESIS
    for seq in range(MAX_COMMIT_RECORDS + 1):
        line = chain_line({"event": "test"}, seq, prev)
        prev = line_hash(line)
        lines.append(line + b"\n")
    (tmp_path / "000000000000.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(ChainDamaged, match="older head"):
        recover(tmp_path, RealDisk())
    (tmp_path / "000000000000.jsonl").write_bytes(b"".join(lines[:-1]))
    assert recover(tmp_path, RealDisk()).beyond_head == MAX_COMMIT_RECORDS
