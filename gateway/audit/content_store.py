"""Prompts and answers that a team's policy keeps: one enciphered file for each request, its key apart from it.

A file in `audit/content/YYYY-MM-DD/` is `corral-content-1`, a line end, a nonce and AES-256-GCM over the document, with
the request's id as associated data. Its key, drawn for it alone, lies wrapped in content.db. `keep` returns when both
are lasting; the record that names the file is written after that. To erase is to delete the key, then the file: what
is left of the blocks on the disk opens no more.
"""

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gateway.audit.content_file import ContentNotOpened, make_content
from gateway.audit.home_secret import UnfitSecret, load_secret, purpose_key
from gateway.audit.keyed_database import connect
from gateway.homes.cleared_database import clear_traces
from gateway.homes.private_file import sync_directory, write_private

MAGIC = b"corral-content-1\n"
NONCE_BYTES = 12
KEY_BYTES = 32
DAY_S = 86_400.0
MAX_CLEARED = 1000
"""Files that one look at what is due deletes; the next look takes the rest."""
INSERT = """INSERT INTO content_keys (request_id, ref, team, pseudonym, wrapped, kept_until_s)
    VALUES (:request_id, :ref, :team, :pseudonym, :wrapped, :kept_until_s)"""
REF_OF = "SELECT ref FROM content_keys WHERE request_id = ?"
_REF = re.compile(r"\d{4}-\d\d-\d\d/[0-9a-f-]{36}\Z", re.ASCII)


def digest_key(key_path: Path, team: str) -> bytes:
    """The key of the digests of a team's texts, from the home's secret alone. Raises ContentNotOpened."""
    try:
        return team_key(purpose_key(load_secret(key_path), "digests"), team)
    except UnfitSecret as fault:
        raise ContentNotOpened(str(fault)) from fault


def team_key(digests: bytes, team: str) -> bytes:
    """The same text of two teams has two digests."""
    return purpose_key(digests, f"team {team}")


class Owner(Struct, frozen=True, kw_only=True):
    """Whose text it is: the request, its team, the pseudonyms of who asked, parted by blanks."""

    request_id: str
    team: str
    pseudonym: str = ""


class ContentStore:
    """The texts kept in one home. Every method blocks on the disk and may be called from any thread."""

    def __init__(self, folder: Path, database_path: Path, key_path: Path) -> None:
        """Makes what is missing. Raises ContentNotOpened, OSError, sqlite3.Error."""
        secret = make_content(database_path, key_path)
        self._folder = folder
        self._digests = purpose_key(secret, "digests")
        self._wrap = AESGCM(purpose_key(secret, "keys of content"))
        self._database = connect(database_path)
        self._lock = threading.Lock()

    def digest_key(self, team: str) -> bytes:
        """The key of the digests of a team's texts."""
        return team_key(self._digests, team)

    def keep(self, owner: Owner, document: bytes, at_s: float, keep_days: int) -> str:
        """Keep a document from `at_s` (Unix time) for `keep_days`; answers its place. Raises OSError."""
        ref = f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}/{owner.request_id}"
        path = self._path(ref)
        key, nonce, wrapping = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, document, owner.request_id.encode())
        self._make_day(path.parent)
        write_private(path, MAGIC + nonce + sealed, mode=0o600)
        sync_directory(path.parent)
        row = {
            "request_id": owner.request_id,
            "ref": ref,
            "team": owner.team,
            "pseudonym": owner.pseudonym,
            "wrapped": wrapping + self._wrap.encrypt(wrapping, key, owner.request_id.encode()),
            "kept_until_s": at_s + keep_days * DAY_S,
        }
        with self._changing():
            self._database.execute(INSERT, row)
            self._database.execute("COMMIT")
        return ref

    def open(self, request_id: str) -> bytes | None:
        """The document kept of a request; None when there is none, or none any more. Raises OSError."""
        rows = self._select("SELECT ref, wrapped FROM content_keys WHERE request_id = ?", (request_id,))
        if not rows:
            return None
        ref, wrapped = rows[0]
        try:
            key = self._wrap.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], request_id.encode())
            sealed = self._path(ref).read_bytes().removeprefix(MAGIC)
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], request_id.encode())
        except InvalidTag as fault:
            raise OSError(5, f"what is kept of request {request_id} was changed, or content.key is another") from fault

    def kept_of(self, pseudonym: str) -> tuple[str, ...]:
        """The requests of a person of which something is kept. Raises OSError."""
        rows = self._select("SELECT request_id, pseudonym FROM content_keys WHERE instr(pseudonym, ?)", (pseudonym,))
        return tuple(sorted(request_id for request_id, names in rows if pseudonym in names.split()))

    def has(self, request_id: str) -> bool:
        """Whether something is kept of the request. Raises OSError."""
        return bool(self._select("SELECT 1 FROM content_keys WHERE request_id = ?", (request_id,)))

    def erase(self, request_ids: Iterable[str]) -> int:
        """Delete keys, then files; answers how many. Raises OSError: the keys are then gone or none is."""
        return self._delete([(each,) for each in request_ids])

    def erase_due(self, now_s: float) -> int:
        """Delete what was kept for long enough by `now_s` (Unix time), a part at a time; answers how many."""
        due = self._select("SELECT request_id FROM content_keys WHERE kept_until_s <= ? LIMIT ?", (now_s, MAX_CLEARED))
        return self._delete(due) if due else 0

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def _delete(self, rows: list[tuple[Any, ...]]) -> int:
        refs: list[str] = []
        with self._changing():
            for row in rows:
                refs += [ref for (ref,) in self._database.execute(REF_OF, row)]
            self._database.executemany("DELETE FROM content_keys WHERE request_id = ?", rows)
            self._database.execute("COMMIT")
            clear_traces(self._database)
        for ref in refs:
            self._remove(self._path(ref))
        return len(refs)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files of the day are there
            path.parent.rmdir()

    def _make_day(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._folder.parent)
            sync_directory(self._folder)

    def _path(self, ref: str) -> Path:
        """Raises OSError for what was never one of our places: content.db was changed by somebody."""
        if not _REF.match(ref):
            raise OSError(5, f"content.db names a place that is none: {ref!r}")
        return self._folder / ref

    def _select(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as fault:
                raise OSError(5, f"content.db: {fault}") from fault

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                finally:
                    if self._database.in_transaction:
                        self._database.rollback()
            except sqlite3.Error as fault:
                raise OSError(5, f"content.db: {fault}") from fault
