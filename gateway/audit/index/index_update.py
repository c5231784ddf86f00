"""Brings the index up to the segments: what was added is read on, what was pruned goes, what was erased is forgotten.

Every batch is one transaction that also says how far it has read, so that a stop at any moment loses and doubles
nothing. Only lines that the chain's head names are taken: those beyond it may yet be torn off. Of a segment that has
changed since it was read, the last line taken is read again: if it is another, the file is at odds with the index.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.audit.audit_files import HeadMissing, Segment, is_chain, read_head_file, segments
from gateway.audit.index.index_file import IndexBroken
from gateway.audit.index.index_rows import Indexed, Names, digest_of, insert, remove, remove_unused
from gateway.audit.index.opened_records import OpenedRecords
from gateway.audit.index.segment_lines import lines_from
from policies.audit_chain import HeadBroken

BATCH_LINES = 1_000
NO_END = 2**63 - 1
VERIFY = "'corral audit verify'"


class Taken(Struct):
    """What an update did: records added, segments taken out, and what it could not read, each in a sentence."""

    records: int = 0
    segments_gone: int = 0
    notes: list[str] = []
    unfinished: bool = False
    """Whether it stopped at the most it was to take."""


class _Read(Struct):
    """How far a segment was read."""

    chain: int
    first_seq: int
    name: str
    read_bytes: int = 0
    last_seq: int = -1
    last_start: int = -1
    last_digest: bytes = b""
    state: str = ""


def update(database: sqlite3.Connection, audit: Path, records: OpenedRecords, most: int = NO_END) -> Taken:
    """Take in what the chains under `audit` have now, at most `most` records. The caller is the only writer.

    Raises IndexBroken when the index and a segment are at odds, OSError, sqlite3.Error, AuditUnavailable.
    """
    taken = Taken()
    names = Names(database)
    folders = {folder.name: folder for folder in sorted(audit.iterdir()) if folder.is_dir() and is_chain(folder)}
    for number, name in database.execute("SELECT id, name FROM chains").fetchall():
        if name not in folders:
            _drop(database, taken, _known(database, number))
    for name, folder in folders.items():
        chain = _chain_number(database, name)
        try:
            _take_chain(database, names, _Chain(folder, chain, records), taken, most)
        except sqlite3.Error:
            names.forget()
            raise
    if taken.segments_gone:
        remove_unused(database)
    return taken


class _Chain(Struct, frozen=True):
    folder: Path
    number: int
    records: OpenedRecords


def _take_chain(database: sqlite3.Connection, names: Names, chain: _Chain, taken: Taken, most: int) -> None:
    head_seq = _head_seq(chain.folder, taken)
    files = [segment for segment in segments(chain.folder) if segment.first_seq >= 0]
    there = {segment.name for segment in files}
    known = {read.name: read for read in _known(database, chain.number)}
    _drop(database, taken, [read for read in known.values() if read.name not in there])
    next_seq = files[0].first_seq if files else 0
    for segment in files:
        if segment.first_seq != next_seq:
            _note(taken, f"{chain.folder.name}: seq {next_seq} to {segment.first_seq - 1} cannot be read: run {VERIFY}")
        read = known.get(segment.name) or _Read(chain.number, segment.first_seq, segment.name)
        try:
            state = _state_of(segment)
            if state != read.state:
                _require_same(chain, segment, read)
                _read_on(database, names, (chain, segment, read), (head_seq, state, taken, most))
        except FileNotFoundError:  # compressed or pruned this moment: the next look finds what it became
            taken.unfinished = True
            return
        if taken.records >= most:
            taken.unfinished = True
            return
        next_seq = read.last_seq + 1


def _read_on(
    database: sqlite3.Connection,
    names: Names,
    what: tuple[_Chain, Segment, _Read],
    bounds: tuple[int, str, Taken, int],
) -> None:
    """Take the lines in that a segment has beyond what was read."""
    chain, segment, read = what
    head_seq, state, taken, most = bounds
    lines, ended = lines_from(segment, read.read_bytes), ""
    while not ended and taken.records < most:
        batch, ended = _batch(lines, read, head_seq, min(BATCH_LINES, most - taken.records))
        indexed = list(_indexed(batch, chain, taken))
        read.state = state if ended == "end" else ""
        with database:
            database.execute("BEGIN IMMEDIATE")
            insert(database, names, (chain.number, segment.first_seq), indexed)
            _save(database, read)
        taken.records += len(batch)


def _batch(
    lines: Iterator[tuple[int, bytes]], read: _Read, head_seq: int, most: int
) -> tuple[list[tuple[int, bytes, dict[str, Any] | None]], str]:
    """The next lines with their records; `read` moves on. "end": the file has no more, "head": the head has not."""
    batch: list[tuple[int, bytes, dict[str, Any] | None]] = []
    for start, line in lines:
        record = record_in(line)
        seq = record["seq"] if record is not None else read.last_seq
        if seq > head_seq:
            return batch, "head"
        batch.append((start, line, record))
        read.read_bytes, read.last_seq = start + len(line) + 1, max(seq, read.last_seq)
        read.last_start, read.last_digest = start, digest_of(line)
        if len(batch) == most:
            return batch, ""
    return batch, "end"


def _indexed(
    batch: Iterable[tuple[int, bytes, dict[str, Any] | None]], chain: _Chain, taken: Taken
) -> Iterator[Indexed]:
    for start, line, record in batch:
        if record is None:
            _note(taken, f"{chain.folder.name}: a line is no record: run {VERIFY}")
            continue
        facts = chain.records.facts(record)
        opened = not facts.request and b"enc:1:" in line
        yield Indexed(record["seq"], start, digest_of(line), facts, opened)


def record_in(line: bytes) -> dict[str, Any] | None:
    """The record in a line, if it is one that has a place in a chain."""
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        return None
    seq = record.get("seq") if isinstance(record, dict) else None
    return record if isinstance(seq, int) and 0 <= seq < NO_END else None


def _head_seq(folder: Path, taken: Taken) -> int:
    """The last seq that is acknowledged; without a sound head whatever is there counts."""
    try:
        return read_head_file(folder).seq
    except (HeadBroken, HeadMissing) as fault:
        _note(taken, f"{folder.name}: {fault}: run {VERIFY}")
        return NO_END


def _require_same(chain: _Chain, segment: Segment, read: _Read) -> None:
    """Raises IndexBroken unless the last line taken is still what it was."""
    if read.last_start < 0:
        return
    _, line = next(lines_from(segment, read.last_start), (0, b""))
    if digest_of(line) != read.last_digest:
        raise IndexBroken(f"{chain.folder.name}/{segment.name} is not what was read before (seq {read.last_seq})")


def _note(taken: Taken, text: str) -> None:
    if text not in taken.notes:
        taken.notes.append(text)


def _drop(database: sqlite3.Connection, taken: Taken, gone: list[_Read]) -> None:
    for read in gone:
        remove(database, read.chain, read.first_seq, read.last_seq)
        taken.segments_gone += 1


def _known(database: sqlite3.Connection, chain: int) -> list[_Read]:
    rows = database.execute("SELECT * FROM segments WHERE chain = ? ORDER BY first_seq", (chain,))
    return [_Read(*row) for row in rows]


def _save(database: sqlite3.Connection, read: _Read) -> None:
    values = tuple(getattr(read, name) for name in _Read.__struct_fields__)
    database.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _chain_number(database: sqlite3.Connection, name: str) -> int:
    with database:
        database.execute("INSERT OR IGNORE INTO chains (name) VALUES (?)", (name,))
    return int(database.execute("SELECT id FROM chains WHERE name = ?", (name,)).fetchone()[0])


def _state_of(segment: Segment) -> str:
    """Changes whenever the file does. Raises FileNotFoundError."""
    found = segment.path.stat()
    return f"{segment.path.name} {found.st_ino} {found.st_size} {found.st_mtime_ns}"
