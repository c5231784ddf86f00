"""A witness's folder: its key, the logs it watches, what it cosigned, and evidence.

    witness-key.pem   Ed25519, PKCS#8, readable by its owner alone
    witness.vkey      its verifier key, for the `witnesses` of the watched gateway
    logs.vkey         the verifier keys of the watched logs, one a line, as `audit/audit.vkey` of a home has them
    tls/              certificate and key of its listener, and the authority to give to the gateway (ca.pem)
    witness.db        SQLite: every checkpoint it ever cosigned
    evidence/         checkpoints that contradict what was cosigned; a folder each, never overwritten

A cosigned checkpoint is committed with a full sync before the answer is made. The check and the commit are one
transaction: of two requests at once, the second is judged by what the first left.
"""

import contextlib
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from gateway.audit.audit_key import UnfitAuditKey, load_private_key, read_vkeys
from gateway.homes.private_file import sync_directory, write_private
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.cosignature import CosignatureSigner, CosignatureVerifier
from policies.auditing.key_change import KeyChange, followed
from policies.auditing.signed_note import Ed25519Verifier, NoteBroken, read_vkey, signature_by
from policies.auditing.witnessing import AddCheckpoint, Cosigned, Judgement, Memory, judge, origin_in

KEY, VKEY, LOGS, STORE, EVIDENCE = "witness-key.pem", "witness.vkey", "logs.vkey", "witness.db", "evidence"
MAX_EVIDENCE = 1000
"""Folders of it; only who holds a log's key can make any, and the first one is enough."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cosigned (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, at_s INTEGER NOT NULL,
    PRIMARY KEY (origin, size)
) STRICT;
CREATE TABLE IF NOT EXISTS heard (origin TEXT PRIMARY KEY, at_s INTEGER NOT NULL) STRICT;
"""


class WitnessFault(Exception):
    """The witness cannot work with its folder; the message is one line with the remedy."""


class Standing(Struct, frozen=True, kw_only=True):
    """How it is with a watched log: what was last cosigned and when, None for nothing yet; and when it was last heard.

    Times are POSIX seconds. A log is heard of with every checkpoint of its own that did not contradict the last.
    """

    origin: str
    size: int | None = None
    cosigned_s: int | None = None
    heard_s: int | None = None


def init_state(folder: Path, name: str) -> str:
    """Make the folder of a witness called `name`; its vkey. Raises WitnessFault."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / KEY).exists():
            raise WitnessFault(f"{folder} is a witness already: choose another folder, or go on with this one")
        key = Ed25519PrivateKey.generate()
        vkey = CosignatureVerifier(name, key.public_key().public_bytes_raw()).vkey
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / EVIDENCE).mkdir(mode=0o700, exist_ok=True)
        write_private(folder / VKEY, f"{vkey}\n".encode(), mode=0o644)
        write_private(folder / LOGS, b"", mode=0o600)
        _open_store(folder / STORE, new=True).close()
        write_private(folder / KEY, pem, mode=0o600)
        sync_directory(folder)
    except NoteBroken as fault:
        raise WitnessFault(f"a witness cannot be called {name!r}: {fault}") from None
    except OSError as fault:
        raise WitnessFault(f"cannot make {folder}: {fault.strerror}: choose a folder of your own") from None
    return vkey


def watch_logs(folder: Path, lines: list[str]) -> list[str]:
    """Add verifier keys to those that are watched; the origins that are new. Raises WitnessFault."""
    try:
        watched = read_vkeys(folder / LOGS)
        fresh = [read_vkey(line) for line in lines if line.strip()]
        known = {each.vkey for each in watched}
        added = [each for each in fresh if each.vkey not in known]
        text = "".join(f"{each.vkey}\n" for each in [*watched, *added])
        new = folder / f"{LOGS}.new"
        new.unlink(missing_ok=True)
        write_private(new, text.encode(), mode=0o600)
        new.rename(folder / LOGS)
        sync_directory(folder)
    except (NoteBroken, UnfitAuditKey) as fault:
        raise WitnessFault(str(fault)) from None
    except OSError as fault:
        raise WitnessFault(f"cannot write {folder / LOGS}: {fault.strerror}: run 'witness init' first") from None
    return [each.name for each in added]


def watch_changes(folder: Path, changes: Sequence[KeyChange]) -> list[str]:
    """Watch the keys too that changes lead to from watched ones; the origins that have a new one. Raises WitnessFault.

    A change that a watched key did not sign adds nothing.
    """
    try:
        watched = read_vkeys(folder / LOGS)
    except (UnfitAuditKey, OSError) as fault:
        raise WitnessFault(f"{folder / LOGS}: {fault}") from None
    fresh = followed(watched, changes)[len(watched) :]
    return watch_logs(folder, [each.vkey for each in fresh]) if fresh else []


class WitnessState:
    """An open witness. `add` is called by one thread at a time; a `check` beside it reads the same store."""

    def __init__(self, folder: Path) -> None:
        """Raises WitnessFault."""
        self._folder = folder
        try:
            self._key = load_private_key(folder / KEY)
            self.name = (folder / VKEY).read_text(encoding="utf-8").partition("+")[0]
            self._store = _open_store(folder / STORE, new=False)
        except (UnfitAuditKey, sqlite3.Error) as fault:
            raise WitnessFault(f"{folder}: {fault}") from None
        except OSError as fault:
            raise WitnessFault(
                f"{fault.filename or folder} cannot be read ({fault.strerror}): run 'corral audit witness init'"
            ) from None

    @property
    def verifier(self) -> CosignatureVerifier:
        """Its own public key."""
        return CosignatureVerifier(self.name, self._key.public_key().public_bytes_raw())

    def watched(self) -> dict[str, list[Ed25519Verifier]]:
        """The keys of the watched logs by origin, read anew. Raises WitnessFault."""
        try:
            found: dict[str, list[Ed25519Verifier]] = {}
            for each in read_vkeys(self._folder / LOGS):
                found.setdefault(each.name, []).append(each)
        except (UnfitAuditKey, OSError) as fault:
            raise WitnessFault(f"{self._folder / LOGS}: {fault}") from None
        return found

    def add(self, request: AddCheckpoint, now_s: int) -> tuple[Judgement, bytes]:
        """Judge a request and keep what it leads to; the answer, and the cosignature's line when it is 200.

        Raises WitnessFault when what must be lasting cannot be written: then nothing was cosigned.
        """
        watched = self.watched()
        try:
            with self._transaction():
                judgement = judge(request, watched, self._memory(request))
                if judgement.status == 200 and judgement.checkpoint is not None:
                    self._keep(judgement.checkpoint, request.note, now_s)
        except sqlite3.Error as fault:
            raise WitnessFault(f"cannot write {self._folder / STORE}: {fault}: free space there") from None
        if judgement.against is not None and judgement.checkpoint is not None:
            self._keep_evidence(judgement.checkpoint, request, judgement.against)
        if judgement.status != 200:
            return judgement, b""
        text = request.note[: request.note.rindex(b"\n\n") + 1]
        return judgement, signature_by(CosignatureSigner(self.name, self._key, now_s), text).line()

    def follow(self, changes: Sequence[KeyChange]) -> list[str]:
        """`watch_changes` of this witness."""
        return watch_changes(self._folder, changes)

    def latest(self, origin: str) -> Cosigned | None:
        """The latest checkpoint that was cosigned for a log."""
        row = self._store.execute(
            "SELECT size, root, note FROM cosigned WHERE origin = ? ORDER BY size DESC LIMIT 1", (origin,)
        ).fetchone()
        return Cosigned(*row) if row else None

    def standings(self) -> list[Standing]:
        """How it is with every watched log. Raises WitnessFault."""
        return [self._standing(origin) for origin in sorted(self.watched())]

    def evidence(self) -> list[Path]:
        """The folders of evidence there are."""
        return sorted(path for path in (self._folder / EVIDENCE).iterdir() if path.is_dir())

    def close(self) -> None:
        """Let the store go."""
        self._store.close()

    def _standing(self, origin: str) -> Standing:
        row = self._store.execute(
            "SELECT size, at_s FROM cosigned WHERE origin = ? ORDER BY size DESC LIMIT 1", (origin,)
        ).fetchone()
        heard = self._store.execute("SELECT at_s FROM heard WHERE origin = ?", (origin,)).fetchone()
        size, at_s = row or (None, None)
        return Standing(origin=origin, size=size, cosigned_s=at_s, heard_s=heard[0] if heard else None)

    def _memory(self, request: AddCheckpoint) -> Memory:
        try:
            origin = origin_in(request.note)
            size = int(request.note.split(b"\n", 2)[1])
        except NoteBroken:
            return Memory()
        row = self._store.execute(
            "SELECT size, root, note FROM cosigned WHERE origin = ? AND size = ?", (origin, size)
        ).fetchone()
        return Memory(self.latest(origin), Cosigned(*row) if row else None)

    def _keep(self, checkpoint: Checkpoint, note: bytes, now_s: int) -> None:
        self._store.execute(
            "INSERT OR IGNORE INTO cosigned VALUES (?, ?, ?, ?, ?)",
            (checkpoint.origin, checkpoint.size, checkpoint.root, note, now_s),
        )
        self._store.execute("INSERT OR REPLACE INTO heard VALUES (?, ?)", (checkpoint.origin, now_s))

    def _keep_evidence(self, refused: Checkpoint, request: AddCheckpoint, against: Cosigned) -> None:
        """Both notes and the proof that failed, in a folder named by what was refused. Raises WitnessFault."""
        digest = hashlib.sha256(request.note).hexdigest()[:16]
        name = f"{re.sub('[^A-Za-z0-9.-]', '_', refused.origin)}-{refused.size}-{digest}"
        place = self._folder / EVIDENCE / name
        try:
            if place.exists() or len(self.evidence()) >= MAX_EVIDENCE:
                return
            half = place.with_name(f".{name}.{time.monotonic_ns()}")
            half.mkdir(mode=0o700)
            write_private(half / "cosigned", against.note, mode=0o400)
            write_private(half / "refused", request.note, mode=0o400)
            proof = "".join(f"{digest.hex()}\n" for digest in request.proof)
            write_private(half / "proof", f"old {request.old_size}\n{proof}".encode(), mode=0o400)
            half.rename(place)
            sync_directory(place.parent)
        except OSError as fault:
            raise WitnessFault(f"cannot write evidence to {place}: {fault.strerror}: free space there") from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._store.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._store.execute("ROLLBACK")
            raise
        self._store.execute("COMMIT")


def _open_store(path: Path, *, new: bool) -> sqlite3.Connection:
    """Raises sqlite3.Error; a store that is gone is not made anew, for a witness without memory cosigns anything."""
    if not new and not path.exists():
        raise sqlite3.OperationalError(f"{path.name} is gone: put it back from your backup, or make a new witness")
    store = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    store.execute("PRAGMA journal_mode = DELETE")
    store.execute("PRAGMA synchronous = EXTRA")
    store.executescript(_SCHEMA)
    return store
