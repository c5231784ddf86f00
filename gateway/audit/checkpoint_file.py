"""The checkpoints of one chain on disk: `checkpoints`, to which they are appended, and `checkpoints.end`.

What the two hold and how they fit is decided by policies/auditing/checkpoint_trail.py; this module reads and writes.
A checkpoint is lasting when `append` returns. After a failed write or sync nothing is appended behind what may be
half a note: the file is first cut back to its last lasting one.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.audit.audit_disk import Disk, replace_file, write_all
from policies.auditing.checkpoint import Checkpoint, checkpoint_text, open_checkpoint
from policies.auditing.checkpoint_trail import Stored, Trail, end_text, kept_notes, open_end
from policies.auditing.signed_note import (
    SIGNATURE_MARK,
    Ed25519Signer,
    Ed25519Verifier,
    NoteBroken,
    Verifier,
    sign_note,
)

CHECKPOINTS_NAME = "checkpoints"
END_NAME = "checkpoints.end"
MAX_NOTE_BYTES = 8192
"""More than any checkpoint of ours; how far from the end of the file the last one is looked for."""
STRETCH_BYTES = 1 << 20


class CheckpointsBroken(Exception):
    """What is stored does not fit together; the message says what."""


def read_checkpoints(folder: Path) -> Stored:
    """What is stored for the chain in `folder`, nothing verified. Raises OSError.

    The end is read first, so beside a running gateway the notes are never fewer than it says.
    """
    end = _read_if_there(folder / END_NAME)
    return Stored(_notes_in(folder / CHECKPOINTS_NAME), end)


def _notes_in(path: Path) -> Iterator[bytes]:
    """The whole notes of a file, a stretch of it at a time; where nothing is a note any more, they end."""
    rest = b""
    try:
        with path.open("rb") as file:
            while (stretch := file.read(STRETCH_BYTES)) and len(rest) <= STRETCH_BYTES:
                notes, rest = kept_notes(rest + stretch)
                yield from notes
    except FileNotFoundError:
        return


def read_anchors(path: Path, verifiers: Sequence[Verifier]) -> list[Checkpoint]:
    """The checkpoints in a file that was kept elsewhere: signed notes, each behind an empty line or alone.

    Raises NoteBroken for a file without one and for a note that no known log signed, OSError.
    """
    notes, rest = kept_notes(path.read_bytes().rstrip(b"\n") + b"\n\n")
    if rest or not notes:
        raise NoteBroken("it does not hold signed checkpoints")
    return [open_checkpoint(note, verifiers).checkpoint for note in notes]


def last_note(folder: Path) -> bytes | None:
    """The last whole checkpoint of the chain in `folder`, not verified; None when there is none. Raises OSError."""
    try:
        with (folder / CHECKPOINTS_NAME).open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - 2 * MAX_NOTE_BYTES))
            return _last_of(file.read())
    except FileNotFoundError:
        return None


class CheckpointFile:
    """One chain's checkpoints, open to be added to. Not thread-safe: one caller at a time."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        signer: Ed25519Signer,
        end_signer: Ed25519Signer,
        older: Sequence[Ed25519Verifier] = (),
    ) -> None:
        """`older` are the keys that signed before. Raises CheckpointsBroken, OSError.

        A note that was being written at the last stop is cut off.
        """
        self._path = folder / CHECKPOINTS_NAME
        self._end_path = folder / END_NAME
        self._disk = disk
        self._signer = signer
        self._end_signer = end_signer
        self._older = older
        self._trail = Trail()
        self._end_behind = False
        self._torn = False
        self.last: Checkpoint | None = None
        self.last_key = b""
        """The public key that signed the last one; empty where there is none."""
        try:
            self._take_up()
        except NoteBroken as fault:
            raise CheckpointsBroken(str(fault)) from None

    def append(self, checkpoint: Checkpoint) -> bytes:
        """Sign a checkpoint and keep it; the note, once it is lasting. Raises OSError; then the next call goes on.

        The signed end follows with `mend`.
        """
        note = sign_note(checkpoint_text(checkpoint), [self._signer])
        self.mend()
        self._torn = True
        self._write(note + b"\n")
        self._torn = False
        self._trail = self._trail.added(note)
        self.last, self.last_key = checkpoint, self._signer.verifier.public_key
        self._end_behind = True
        return note

    def sign_with(self, signer: Ed25519Signer, end_signer: Ed25519Signer) -> None:
        """The key that signs from now on, in the place of the one before."""
        self._signer, self._end_signer = signer, end_signer

    def mend(self) -> None:
        """Finish what an earlier failure left: half a note to cut off, an end to write. Raises OSError."""
        if self._torn and self._path.exists():
            self._disk.truncate(self._path, self._trail.size_bytes)
        self._torn = False
        if self._end_behind:
            text = end_text(self._signer.name, self._trail)
            replace_file(self._disk, self._end_path, sign_note(text, [self._end_signer]))
        self._end_behind = False

    def _write(self, data: bytes) -> None:
        new = not self._path.exists()
        descriptor = self._disk.create(self._path) if new else self._disk.append(self._path)
        try:
            write_all(self._disk, descriptor, data)
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        if new:
            self._disk.sync_folder(self._path.parent)

    def _take_up(self) -> None:
        """Go on from what is stored: what the end tells of, the whole notes behind it, then nothing."""
        end = _read_if_there(self._end_path)
        if end is not None:
            older = [Ed25519Verifier(self._end_signer.name, each.public_key) for each in self._older]
            self._trail = open_end(end, self._signer.name, [*older, self._end_signer.verifier])
        size_bytes, behind = self._behind_the_end()
        notes, rest = kept_notes(behind)
        if size_bytes < self._trail.size_bytes or (end is None and len(notes) > 1):
            raise NoteBroken(f"{CHECKPOINTS_NAME} is not as long as {END_NAME} says, or one of them is gone")
        for note in notes:
            self._trail = self._trail.added(note)
        self._end_behind = bool(notes)
        self._torn = bool(rest)
        last = last_note(self._path.parent)
        if last is not None:
            verifiers = [*self._older, self._signer.verifier]
            signed = open_checkpoint(last, verifiers)
            self.last = signed.checkpoint
            self.last_key = next(each.public_key for each in verifiers if each.key_id == signed.key_id)

    def _behind_the_end(self) -> tuple[int, bytes]:
        """The file's size, and its bytes behind what the end tells of."""
        try:
            with self._path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(min(size_bytes, self._trail.size_bytes))
                return size_bytes, file.read()
        except FileNotFoundError:
            return 0, b""


def _last_of(data: bytes) -> bytes | None:
    """The last whole note of a stretch of the file that may begin in the middle of one."""
    pieces = data.split(b"\n\n")  # texts and signature lines by turns, then what is behind the last whole note
    for place in range(len(pieces) - 2, 0, -1):
        if pieces[place].startswith(SIGNATURE_MARK):
            return b"%s\n\n%s\n" % (pieces[place - 1], pieces[place])
    return None


def _read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
