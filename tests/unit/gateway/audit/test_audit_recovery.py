"""Invariant: a chain that is whole up to its head is made fit to go on; any other is refused and left untouched."""

import hashlib
from pathlib import Path

import pytest
import zstandard

from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME, read_head_file, segment_paths, stored_lines, verify_chain
from gateway.audit.audit_recovery import ChainDamaged, first_head, recover
from gateway.audit.audit_writer import MAX_BEYOND_HEAD, ChainEnd, ChainWriter
from policies.audit_chain import GENESIS, Head, encode_entry, head_bytes, line_hash, segment_name
from policies.auditing.merkle import EMPTY, leaf_hash
from tests.chain_lines import chain_line


def body(number: int) -> bytes:
    return encode_entry({"event": "test", "number": number})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chain of 20 records in segments of some 600 bytes, its head before the last commit kept in `old-head`."""
    disk = RealDisk()
    replace_file(disk, tmp_path / HEAD_NAME, first_head())
    writer = ChainWriter(tmp_path, disk, 1_500, ChainEnd())
    for number in range(19):
        writer.commit([body(number)])
    (tmp_path / "old-head").write_bytes((tmp_path / HEAD_NAME).read_bytes())
    writer.commit([body(19)])
    writer.close()
    return tmp_path


def next_seq(folder: Path) -> int:
    """The seq after the last of the fixture's lines."""
    return sum(1 for _ in stored_lines(segment_paths(folder)))


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
    assert recovered.end.next_seq == next_seq(folder)
    leaves = [leaf_hash(line.data[:-1]) for line in stored_lines(segment_paths(folder))]
    assert recovered.end.tree == EMPTY.extended(leaves)
    assert recovered.end.segment == last_segment(folder).name
    assert recovered.end.segment_bytes == last_segment(folder).stat().st_size


def test_a_chain_that_got_no_line_goes_on_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / HEAD_NAME).write_bytes(first_head())
    assert recover(tmp_path, RealDisk()).end == ChainEnd()


def test_a_torn_tail_is_moved_aside(folder: Path) -> None:
    seq = next_seq(folder)
    with last_segment(folder).open("ab") as file:
        file.write(b'{"v":1,"seq":20,"ev')
    recovered = recover(folder, RealDisk())
    assert (recovered.torn_bytes, recovered.beyond_head, recovered.end.next_seq) == (19, 0, seq)
    assert torn_files(folder) == {recovered.torn_name: b'{"v":1,"seq":20,"ev'}
    assert verify_chain(folder).unfinished is None


def test_torn_files_never_replace_each_other(folder: Path) -> None:
    seq = next_seq(folder)
    for _ in range(3):
        with last_segment(folder).open("ab") as file:
            file.write(b"torn")
        recover(folder, RealDisk())
    assert sorted(torn_files(folder)) == [f"{seq:012d}-{number}.torn" for number in range(3)]


def test_sound_lines_beyond_the_head_are_kept(folder: Path) -> None:
    seq = next_seq(folder)
    (folder / "old-head").rename(folder / HEAD_NAME)
    recovered = recover(folder, RealDisk())
    assert (recovered.beyond_head, recovered.torn_bytes, recovered.end.next_seq) == (1, 0, seq)
    assert recovered.unclean
    assert recovered.end.tree.size == seq


def test_a_torn_segment_after_the_heads_own_goes_whole(folder: Path) -> None:
    seq = next_seq(folder)
    (folder / segment_name(seq)).write_bytes(b"\0" * 50)
    recovered = recover(folder, RealDisk())
    assert (recovered.torn_bytes, recovered.end.next_seq) == (50, seq)
    assert not (folder / segment_name(seq)).exists()


def test_an_empty_segment_after_the_heads_own_goes(folder: Path) -> None:
    path = folder / segment_name(next_seq(folder))
    path.touch()
    assert not recover(folder, RealDisk()).unclean
    assert not path.exists()


def test_everything_after_the_first_line_that_does_not_fit_goes(folder: Path) -> None:
    last = last_segment(folder)
    with last.open("ab") as file:
        file.write(b"zeros\n")
    (folder / segment_name(next_seq(folder))).write_bytes(b"more\n")
    recovered = recover(folder, RealDisk())
    assert torn_files(folder) == {recovered.torn_name: b"zeros\nmore\n"}
    assert segment_paths(folder)[-1] == last


def damage_changed_line(folder: Path) -> None:
    """The first record of the last segment but for the last two."""
    lines = last_segment(folder).read_bytes().splitlines(keepends=True)
    lines[-3] = lines[-3].replace(b'"event":', b'"evend":')
    last_segment(folder).write_bytes(b"".join(lines))


def damage_cut_tail(folder: Path) -> None:
    lines = last_segment(folder).read_bytes().splitlines(keepends=True)
    last_segment(folder).write_bytes(b"".join(lines[:-1]))


def damage_removed_segment(folder: Path) -> None:
    last_segment(folder).unlink()


def damage_removed_head(folder: Path) -> None:
    (folder / HEAD_NAME).unlink()


def damage_changed_head(folder: Path) -> None:
    data = (folder / HEAD_NAME).read_bytes()
    (folder / HEAD_NAME).write_bytes(data.replace(b'"seq":2', b'"seq":1'))


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
    assert "as evidence under another name" in str(caught.value)
    assert snapshot(folder) == before


def test_an_old_head_put_back_is_noticed(tmp_path: Path) -> None:
    """More lines beyond the head than one commit can leave there, with the first line of a segment."""
    (tmp_path / HEAD_NAME).write_bytes(first_head())
    lines, prev = [], GENESIS
    for seq in range(MAX_BEYOND_HEAD + 1):
        line = chain_line({"event": "test"}, seq, prev)
        prev = line_hash(line)
        lines.append(line + b"\n")
    (tmp_path / "000000000000.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(ChainDamaged, match="older head"):
        recover(tmp_path, RealDisk())
    (tmp_path / "000000000000.jsonl").write_bytes(b"".join(lines[:-1]))
    assert recover(tmp_path, RealDisk()).beyond_head == MAX_BEYOND_HEAD


def test_a_head_without_a_tree_is_continued(folder: Path) -> None:
    """As the version before wrote it: all lines are read once to make the tree."""
    head = read_head_file(folder)
    (folder / HEAD_NAME).write_bytes(head_bytes(Head(head.seq, head.hash, head.segment)))
    recovered = recover(folder, RealDisk())
    assert recovered.end.tree.hashes == head.tree
    writer = ChainWriter(folder, RealDisk(), 1_500, recovered.end)
    writer.commit([body(20)])
    writer.close()
    assert read_head_file(folder).tree == writer.tree.hashes
    assert verify_chain(folder).fault is None


def test_a_segment_closed_to_writing_is_not_gone_on_in(folder: Path) -> None:
    path = last_segment(folder)
    path.chmod(0o440)
    end = recover(folder, RealDisk()).end
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (end.segment, end.closed, end.closed_sha256) == ("", path.name, sha256)


def test_a_segment_that_was_compressed_and_is_not_whole_is_refused(folder: Path) -> None:
    """It was whole when it was compressed, so this is no unfinished commit."""
    path = last_segment(folder)
    (folder / "old-head").rename(folder / HEAD_NAME)
    data = path.read_bytes().removesuffix(b'"}\n')
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(data))
    path.unlink()
    with pytest.raises(ChainDamaged, match="was compressed, and is not whole"):
        recover(folder, RealDisk())
