"""Enciphers what the log says of persons, under a key per person and month, and opens it while the key is there.

A token is `enc:1:KEY ID:BASE64URL(nonce, AES-256-GCM ciphertext)`. Its associated data is the place where it stands,
so that a token moved to another line or field does not open. What a person is called here is one text
(`policies.auditing.person_fields.person_of`).

A pseudonym is drawn at random when a person is first seen, never computed from the name: once the person's row is
gone, nobody can tell whose it was, not even with every secret of the home and the name in hand (docs/adr/0008).

Sealing writes nothing; it looks on disk once for a person it has not met. New persons and keys are owed until
`flush`, which the log calls before the lines that need them, in its own thread and for many lines at once; when that
fails the lines are not written either. What is cached is dropped when a person was erased, by whatever process
(`refresh`); a line that was sealed meanwhile under the key that is gone can be opened by nobody.
"""

import base64
import functools
import hashlib
import hmac
import os
import secrets
import sqlite3
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gateway.audit.home_secret import purpose_key
from gateway.audit.persons_file import PersonsNotOpened, load_persons_key, make_persons
from gateway.audit.persons_store import KeyRow, PersonRow, PersonsStore
from policies.auditing.person_fields import name_of, words_of
from policies.errors import AuditUnavailable, PolicyUnavailable

MARK = "enc:1:"
NONCE_BYTES = 12
"""GCM's own size (NIST SP 800-38D 8.2.2); 2**32 random ones a key are allowed, far more than lines of a month."""
KEY_BYTES = 32
KEY_ID_BYTES = 12
PSEUDONYM_BYTES = 10
"""80 random bits: among a billion persons two meet with a chance of one in two million."""
MAX_CACHED = 16_384
"""About 600 bytes each, so 10 MB: the persons of a month in a large company."""

LABELS = "labels"
"""Stands for the month of the key that `label` uses; it sorts behind every month, so no retention drops it."""
DAY_US = 86_400_000_000

T = TypeVar("T")


class _Known(Struct, frozen=True):
    """A person as sealing needs them in one month."""

    month: str
    pseudonym: str
    key_id: str
    cipher: AESGCM


class Persons:
    """The persons of one home. One event loop (or command) seals and opens; `flush` and `erase` may run in threads."""

    def __init__(self, store: PersonsStore, secret: bytes) -> None:
        """Use `at` or `reading`."""
        self._store = store
        self._macs = purpose_key(secret, "names of persons")
        self._wrap = AESGCM(purpose_key(secret, "keys of persons"))
        self.erasures = store.erasures()
        """How often somebody had been erased at the last `refresh`, by any process."""
        self._pseudonyms: OrderedDict[str, str] = OrderedDict()
        self._months: OrderedDict[str, _Known] = OrderedDict()
        self._ciphers: OrderedDict[str, AESGCM] = OrderedDict()
        self._label_keys: OrderedDict[str, bytes] = OrderedDict()

    @classmethod
    def at(cls, path: Path, key_path: Path) -> "Persons":
        """The persons at `path`, made with their key where neither is there yet. Raises PersonsNotOpened."""
        make_persons(path, key_path)
        return cls._of(path, key_path, read_only=False)

    @classmethod
    def reading(cls, path: Path, key_path: Path) -> "Persons":
        """The same for a command that only reads. Raises PersonsNotOpened, also where there is none."""
        return cls._of(path, key_path, read_only=True)

    @classmethod
    def _of(cls, path: Path, key_path: Path, *, read_only: bool) -> "Persons":
        secret = load_persons_key(key_path)
        try:
            store = PersonsStore(path, read_only=read_only)
        except (sqlite3.Error, PolicyUnavailable) as fault:
            raise PersonsNotOpened(f"{path} cannot be read ({fault}): restore it together with {key_path}") from fault
        try:
            persons = cls(store, secret)
            persons._require_fitting()
        except AuditUnavailable as fault:
            store.close()
            raise PersonsNotOpened(f"{key_path} does not fit {path} ({fault.reason}): restore both together") from fault
        return persons

    def seal(self, person: str, text: str, at_us: int, context: bytes = b"") -> str:
        """`text` under the key of `person` for the month of `at_us` (Unix microseconds). Raises AuditUnavailable."""
        known = self._of_month(person, month_of(at_us))
        return _token(known.key_id, known.cipher, text, context)

    def seal_remark(self, text: str, at_us: int, context: bytes = b"") -> str:
        """`text`, in which operators may name anybody, under a key of its own. Raises AuditUnavailable."""
        pseudonym = _new_name("r")
        self._store.owe_person(PersonRow(pseudonym, self._mac("remark", pseudonym), b"", self._word_macs(text)))
        key_id, cipher = self._new_key(pseudonym, month_of(at_us))
        return _token(key_id, cipher, text, context)

    def pseudonym(self, person: str) -> str:
        """What stands for `person` in the clear, drawn now where they are new. Raises AuditUnavailable."""
        return _cached(self._pseudonyms, person) or _kept(self._pseudonyms, person, self._find_pseudonym(person))

    def label(self, person: str, text: str) -> str:
        """What stands for `text` of a person in the clear: the same each time, until they are erased.

        An address in the clear says where somebody was. This says only that it is the same address, and once the
        person's keys are gone nobody can compute it, not even with the address in hand. Raises AuditUnavailable.
        """
        key = _cached(self._label_keys, person) or _kept(self._label_keys, person, self._label_key(person))
        digest = hmac.new(key, text.encode(), hashlib.sha256).digest()[:PSEUDONYM_BYTES]
        return "a" + base64.b32encode(digest).decode("ascii").lower()

    def open(self, token: str, context: bytes = b"") -> str | None:
        """The text in `token`; None when its key was erased, or it is no token of this home and place.

        `context` is what it was sealed with; for a whole record of the log see `gateway.audit.sealed_record`.
        Raises AuditUnavailable when the file cannot be read.
        """
        key_id, _, body = token.removeprefix(MARK).partition(":")
        cipher = self._cipher_of(key_id) if token.startswith(MARK) else None
        if cipher is None:
            return None
        try:
            sealed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context).decode()
        except (InvalidTag, ValueError):  # ValueError: base64, or a nonce cut short
            return None

    def pseudonyms(self, name: str) -> tuple[str, ...]:
        """The pseudonyms of all who are called `name`, whoever vouches for them. Raises AuditUnavailable."""
        return self._store.called(self._mac("name", name))

    def remarks_naming(self, name: str) -> tuple[str, ...]:
        """The remarks that hold every word of `name`. Raises AuditUnavailable."""
        return self._store.remarks_with(self._word_macs(name))

    def knows(self, pseudonym: str) -> bool:
        """Whether somebody stands behind `pseudonym`. Raises AuditUnavailable."""
        return self._store.knows(pseudonym)

    def count_keys(self, pseudonym: str) -> int:
        """How many months of them can be opened. Raises AuditUnavailable."""
        return self._store.count_keys(pseudonym)

    def erase(self, *pseudonyms: str) -> None:
        """Delete their rows, keys and every trace of them in the file. Blocks; raises OSError. Then `refresh`."""
        self._store.erase(pseudonyms)

    def drop_before(self, month: str) -> int:
        """Delete the keys of all months before `month` (like 2026-11), and remarks that only they opened; how many.

        Blocks; raises OSError. Then `refresh`.
        """
        return self._store.drop_before(month)

    def flush(self) -> None:
        """Make new persons and keys lasting. Blocks; raises OSError and owes them still."""
        self._store.flush()

    def refresh(self) -> None:
        """Drop what is cached when somebody was erased since. Raises AuditUnavailable."""
        erasures = self._store.erasures()
        if erasures != self.erasures:
            for cache in (self._pseudonyms, self._months, self._ciphers, self._label_keys):
                cache.clear()
        self.erasures = erasures

    def close(self) -> None:
        """Give the file back."""
        self._store.close()

    def _require_fitting(self) -> None:
        """Raises AuditUnavailable where the home's secret is not the one that the keys were wrapped with."""
        row = self._store.any_key()
        if row is not None:
            self._unwrapped(row)

    def _of_month(self, person: str, month: str) -> _Known:
        known = _cached(self._months, person)
        if known is not None and known.month == month:
            return known
        pseudonym = self.pseudonym(person)
        row = self._store.key_of_month(pseudonym, month)
        key_id, cipher = self._new_key(pseudonym, month) if row is None else (row.key_id, self._unwrapped(row))
        _kept(self._ciphers, key_id, cipher)
        return _kept(self._months, person, _Known(month, pseudonym, key_id, cipher))

    def _find_pseudonym(self, person: str) -> str:
        mac = self._mac("person", person)
        found = self._store.person(mac)
        if found is not None:
            return found
        pseudonym = _new_name("p")
        self._store.owe_person(PersonRow(pseudonym, mac, self._mac("name", name_of(person))))
        return pseudonym

    def _new_key(self, pseudonym: str, month: str) -> tuple[str, AESGCM]:
        key_id, key, nonce = _text64(os.urandom(KEY_ID_BYTES)), os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        wrapped = nonce + self._wrap.encrypt(nonce, key, f"{key_id} {pseudonym} {month}".encode())
        self._store.owe_key(KeyRow(key_id, pseudonym, month, wrapped))
        return key_id, AESGCM(key)

    def _label_key(self, person: str) -> bytes:
        pseudonym = self.pseudonym(person)
        row = self._store.key_of_month(pseudonym, LABELS)
        if row is None:
            row = self._store.key(self._new_key(pseudonym, LABELS)[0])
        if row is None:  # erased in this moment, by another thread
            raise AuditUnavailable("audit_person_erased")
        return self._key_bytes(row)

    def _unwrapped(self, row: KeyRow) -> AESGCM:
        return AESGCM(self._key_bytes(row))

    def _key_bytes(self, row: KeyRow) -> bytes:
        place = f"{row.key_id} {row.pseudonym} {row.month}".encode()
        try:
            return self._wrap.decrypt(row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:], place)
        except InvalidTag as fault:
            raise AuditUnavailable("audit_persons_key") from fault

    def _cipher_of(self, key_id: str) -> AESGCM | None:
        known = _cached(self._ciphers, key_id)
        if known is not None:
            return known
        row = self._store.key(key_id)
        return None if row is None else _kept(self._ciphers, key_id, self._unwrapped(row))

    def _word_macs(self, text: str) -> tuple[bytes, ...]:
        return tuple(self._mac("word", word) for word in words_of(text))

    def _mac(self, what: str, text: str) -> bytes:
        return hmac.new(self._macs, f"{what}\n{text}".encode(), hashlib.sha256).digest()


def month_of(at_us: int) -> str:
    """The month of a time in Unix microseconds, in UTC, like 2026-11."""
    return _month_of_day(at_us // DAY_US)


@functools.lru_cache(maxsize=8)
def _month_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_US // 1_000_000, UTC).strftime("%Y-%m")


def _token(key_id: str, cipher: AESGCM, text: str, context: bytes) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return f"{MARK}{key_id}:{_text64(nonce + cipher.encrypt(nonce, text.encode(), context))}"


def _new_name(kind: str) -> str:
    """A pseudonym that says nothing of whose it is."""
    return kind + base64.b32encode(secrets.token_bytes(PSEUDONYM_BYTES)).decode("ascii").lower()


def _cached(cache: OrderedDict[str, T], name: str) -> T | None:
    found = cache.get(name)
    if found is not None:
        cache.move_to_end(name)
    return found


def _kept(cache: OrderedDict[str, T], name: str, value: T) -> T:
    """`value`, kept; the one unused for longest makes room."""
    cache[name] = value
    if len(cache) > MAX_CACHED:
        cache.popitem(last=False)
    return value


def _text64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
