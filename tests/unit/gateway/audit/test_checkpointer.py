"""Invariant: no record stays without a checkpoint for long, and none is signed that does not fit what was signed."""

import errno
from pathlib import Path

import pytest

from gateway.audit import checkpoint_file
from gateway.audit.audit_key import KEY_NAME, VKEY_NAME, open_audit_key
from gateway.audit.checkpoint_file import (
    CHECKPOINTS_NAME,
    END_NAME,
    CheckpointsBroken,
    last_note,
    read_anchors,
    read_checkpoints,
)
from gateway.audit.checkpointer import EVERY_RECORDS, Checkpointer
from policies.auditing.checkpoint import Checkpoint, open_checkpoint
from policies.auditing.checkpoint_trail import judge_signed_trail
from policies.auditing.merkle import EMPTY, CompactRange, leaf_hash
from policies.auditing.signed_note import NoteBroken, NoteUnsigned
from tests.signed_chains import QuickDisk, SignedChain, StillClock, body


def tree(size: int, salt: bytes = b"") -> CompactRange:
    return EMPTY.extended(leaf_hash(b"%d%s" % (each, salt)) for each in range(size))


class Opened:
    """The checkpoints of a chain without lines, opened as often as one likes."""

    def __init__(self, home: Path) -> None:
        self.key = open_audit_key(home)
        self.folder = home / "audit" / "box-0"
        self.folder.mkdir()
        self.clock = StillClock()
        self.verifiers = [self.key.signer("box-0").verifier]

    def open(self, over: CompactRange = EMPTY, disk: QuickDisk | None = None) -> Checkpointer:
        return Checkpointer.open(self.folder, self.key, over, disk or QuickDisk(), self.clock)

    def sizes(self) -> list[int]:
        return [each.size for each in judge_signed_trail(read_checkpoints(self.folder), self.verifiers).checkpoints]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


class Failing(QuickDisk):
    """The acts of these numbers fail, a write having taken half of its bytes."""

    def __init__(self, fails: range) -> None:
        self.fails = fails
        self.acts = 0

    def _act(self) -> None:
        self.acts += 1
        if self.acts - 1 in self.fails:
            raise OSError(errno.ENOSPC, "injected")

    def create(self, path: Path) -> int:
        self._act()
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> int:
        try:
            self._act()
        except OSError:
            super().write(descriptor, data[: len(data) // 2])
            raise
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._act()

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._act()
        super().truncate(path, size_bytes)

    def rename(self, old: Path, new: Path) -> None:
        self._act()
        super().rename(old, new)


def test_a_new_chain_has_one_before_its_key_is_listed(opened: Opened) -> None:
    with pytest.raises(OSError, match="injected"):
        opened.open(disk=Failing(range(100)))
    assert not (opened.folder.parent / VKEY_NAME).exists()
    opened.open()
    assert opened.sizes() == [0]
    assert (opened.folder.parent / VKEY_NAME).exists()


def test_one_is_due_after_so_many_records(opened: Opened) -> None:
    checkpointer = opened.open()
    for size in (1, EVERY_RECORDS - 1, EVERY_RECORDS, EVERY_RECORDS + 5, 2 * EVERY_RECORDS + 100):
        checkpointer.committed(tree(size))
    assert opened.sizes() == [0, EVERY_RECORDS, 2 * EVERY_RECORDS + 100]


def test_one_is_due_ten_seconds_after_the_first_record_without(opened: Opened) -> None:
    checkpointer = opened.open()
    opened.clock.now_s = 100.0
    assert not checkpointer.due()
    checkpointer.committed(tree(1))
    opened.clock.now_s = 109.9
    checkpointer.committed(tree(2))
    assert not checkpointer.due()
    assert opened.sizes() == [0]
    opened.clock.now_s = 110.0
    assert checkpointer.due()
    checkpointer.committed(tree(3))
    assert opened.sizes() == [0, 3]
    assert not checkpointer.due()


def test_nothing_new_is_not_signed_again(opened: Opened) -> None:
    checkpointer = opened.open()
    checkpointer.committed(tree(4))
    for _ in range(3):
        checkpointer.make()
        checkpointer.catch_up()
    assert opened.sizes() == [0, 4]


def test_a_reopened_chain_is_signed_at_once(opened: Opened) -> None:
    opened.open().committed(tree(4))
    opened.open(tree(4))
    assert opened.sizes() == [0, 4]
    checkpointer = opened.open(tree(6))
    assert checkpointer.origin == f"corral/{opened.key.deployment}/box-0"
    assert opened.sizes() == [0, 4, 6]


def test_a_shorter_or_another_log_is_not_signed(opened: Opened) -> None:
    checkpointer = opened.open()
    checkpointer.committed(tree(4))
    checkpointer.make()
    for over, text in ((tree(3), "there are only 3"), (tree(4, b"x"), "not those")):
        with pytest.raises(CheckpointsBroken, match=text):
            opened.open(over)
    assert opened.sizes() == [0, 4]


def test_who_listens_is_told_of_lasting_ones_and_cannot_disturb(opened: Opened) -> None:
    checkpointer = opened.open()
    told: list[bytes] = []

    def breaks(note: bytes) -> None:
        raise RuntimeError(note)

    checkpointer.subscribe(breaks)
    checkpointer.subscribe(told.append)
    checkpointer.committed(tree(2))
    checkpointer.make()
    assert told == [last_note(opened.folder)]
    assert open_checkpoint(told[0], opened.verifiers).checkpoint == Checkpoint(checkpointer.origin, 2, tree(2).root())


def test_wherever_the_disk_fails_it_is_said_and_made_up_for(opened: Opened) -> None:
    """Each act of one checkpoint in turn; whatever was left, the next one stands on sound ground, as does a restart."""
    opened.open()
    acts, size = 0, 0
    while True:
        size += 3
        disk = Failing(range(acts, acts + 1))
        disk.fails = range(0)
        checkpointer = opened.open(tree(size), disk)
        disk.acts, disk.fails = 0, range(acts, acts + 2)
        checkpointer.committed(tree(size + 1))
        try:
            checkpointer.make()
        except OSError:
            disk.fails = range(0)
            checkpointer.catch_up()
            assert opened.sizes()[-1] == size + 1
            disk.acts, disk.fails = 0, range(acts, acts + 9)
            checkpointer.committed(tree(size + 2))
            with pytest.raises(OSError, match="injected"):
                checkpointer.make()
            acts += 1
            continue
        break
    assert acts >= 5
    opened.open(tree(size + 5))
    assert opened.sizes()[-1] == size + 5


@pytest.mark.parametrize("kept", [1, 30, 100, 200, 201, 202])
def test_half_a_note_at_the_last_stop_is_cut_off(opened: Opened, kept: int) -> None:
    opened.open(tree(3))
    path = opened.folder / CHECKPOINTS_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    opened.open(tree(9))
    assert opened.sizes() == [3, 9]
    assert path.read_bytes().startswith(whole)


def test_a_note_behind_the_end_is_taken_up(opened: Opened) -> None:
    opened.open(tree(3))
    end = (opened.folder / END_NAME).read_bytes()
    opened.open(tree(9))
    (opened.folder / END_NAME).write_bytes(end)
    opened.open(tree(9))
    assert opened.sizes() == [3, 9]
    assert (opened.folder / END_NAME).read_bytes() != end


def test_what_was_taken_away_stops_the_log(opened: Opened) -> None:
    opened.open(tree(3))
    opened.open(tree(9))
    path, end = opened.folder / CHECKPOINTS_NAME, opened.folder / END_NAME
    whole, whole_end = path.read_bytes(), end.read_bytes()
    for notes, ending in ((whole[:-60], whole_end), (b"", whole_end), (whole, b""), (whole, None), (None, whole_end)):
        for place, content in ((path, notes), (end, ending)):
            place.unlink(missing_ok=True)
            if content is not None:
                place.write_bytes(content)
        with pytest.raises(CheckpointsBroken):
            opened.open(tree(9))
    forged = whole.replace(whole.split(b"\n")[2], b"A" * 43 + b"=")
    path.write_bytes(forged)
    end.write_bytes(whole_end)


def test_the_last_note_is_found_in_any_file(opened: Opened) -> None:
    assert last_note(opened.folder) is None
    (opened.folder / CHECKPOINTS_NAME).write_bytes(b"half a note\n\n")
    assert last_note(opened.folder) is None
    (opened.folder / CHECKPOINTS_NAME).unlink()
    for size in range(1, 60):
        opened.open(tree(size))
    note = last_note(opened.folder)
    assert note is not None
    assert open_checkpoint(note, opened.verifiers).checkpoint.size == 59


def test_a_long_file_is_read_a_stretch_at_a_time(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in range(1, 12):
        opened.open(tree(size))
    whole = list(read_checkpoints(opened.folder).notes)
    assert len(whole) == 11
    for stretch in range(300, 700, 7):
        monkeypatch.setattr(checkpoint_file, "STRETCH_BYTES", stretch)
        assert list(read_checkpoints(opened.folder).notes) == whole
    (opened.folder / CHECKPOINTS_NAME).write_bytes(b"no note " * 1000)
    assert list(read_checkpoints(opened.folder).notes) == []


def test_anchors_are_read_from_a_file_of_notes(opened: Opened, tmp_path: Path) -> None:
    opened.open(tree(3))
    opened.open(tree(5))
    kept = tmp_path / "anchors"
    whole = (opened.folder / CHECKPOINTS_NAME).read_bytes()
    for content, sizes in ((whole, [3, 5]), (whole.rstrip(b"\n"), [3, 5]), (last_note(opened.folder), [5])):
        assert content is not None
        kept.write_bytes(content)
        assert [each.size for each in read_anchors(kept, opened.verifiers)] == sizes
    with pytest.raises(NoteUnsigned):
        read_anchors(kept, [])
    for nothing in (b"", b"no note\n", b"half\n\n"):
        kept.write_bytes(nothing)
        with pytest.raises(NoteBroken):
            read_anchors(kept, opened.verifiers)


def test_a_chain_on_disk_is_signed_as_it_grows(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    chain.add(body(1), body(2))
    chain.close()
    sizes = [
        each.size
        for each in judge_signed_trail(read_checkpoints(chain.folder), [chain.key.signer("box-0").verifier]).checkpoints
    ]
    assert sizes == [0, chain.writer.tree.size]
    assert (tmp_path / KEY_NAME).exists()
