"""Keys, registered public keys, revocations, lockdowns and grants, shared by gateways on several hosts through Redis.

Each home keeps its own keys.db, from which every look-up is answered; `sync`, called each second, tells Redis what
changed here and takes in what changed elsewhere, by the rules of `policies.copy_merge`. Redis holds digests and
public keys, each record sealed (`sealed_record`); the homes must have the same pepper file.

A Redis that lost its data (its epoch is another) is told everything again by whoever comes first. A record that
changed both here and there is read before it is written: the script refuses to overwrite what was not read.

A record that cannot be unsealed, because a home has another pepper file or lacks its newest version, could be a
revocation: such a gateway counts as one that hears nothing, and tells nothing. It looks into its pepper file again,
so a new version may stand in all files before any gateway takes it; what is sealed with an older one is sealed anew.
The remedy else is the right pepper file, or to delete the keys that begin with `{corral}:keys` in Redis: the
gateways fill them again.

Lockdowns have an end, so each is a record of its own, named by its team and its beginning, and once lifted it
stays lifted. Lifted while no gateway of the home ran, it comes back from the others: lift it with one running.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec

from gateway.keys.key_rows import read_row, write_row
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import UnfitPepper
from gateway.keys.sealed_record import BrokenSeal, Row, plain_text, seal, sealed_version, unseal
from gateway.keys.tables import GRANTS, LOCKDOWNS, PUBLIC_KEYS, REVOCATIONS
from gateway.limits.redis_link import Part, RedisAway, RedisLink, Script
from policies.copy_merge import merge_grants, merge_keys, merge_public_keys, merge_revocations
from policies.credentials.revocation import Lockdown
from policies.errors import PolicyUnavailable

KEYS = ("{corral}:keys", "{corral}:keys:changes", "{corral}:keys:head")
ROUNDS = 4
"""Each writes and then reads: the first finds a new epoch, the second tells, two more settle what crossed."""
PUSHED_AT_ONCE = 1000
UNTOLD = ("last_used_s", "last_ip")


@dataclass(frozen=True, slots=True)
class _Shared:
    """One kind of record: its name in Redis, how it is found and saved here, and how two copies become one."""

    kind: str
    local: Callable[[], Iterator[tuple[str, Any]]]
    row: Callable[[Any], Row]
    record: Callable[[Row], Any]
    merge: Callable[[Any, Any], Any]
    save: Callable[[list[Any]], None]


class KeyMirror:
    """One gateway's end of the shared copy."""

    def __init__(self, keys: KeyStore, link: RedisLink, load: Callable[[], Mapping[int, bytes]]) -> None:
        """`load` reads the pepper file. Raises UnfitPepper."""
        self._keys = keys
        self._link = link
        self._load = load
        self._peppers = load()
        self._script = Script(files(__package__).joinpath("mirror.lua").read_text("ascii"))
        self._syncing = asyncio.Lock()
        self._epoch, self._version = "", 0
        self._held: dict[str, bytes] = {}
        self._told: dict[str, Any] = {}
        self._outdated: dict[str, bytes] = {}
        self._locks = _Locks(keys)
        self._kinds = {each.kind: each for each in _kinds(keys)}

    async def sync(self) -> None:
        """Hear everything, and tell what changed; what does not fit waits for the next call.

        Raises PolicyUnavailable when Redis is away or holds what cannot be read: then not all was heard.
        """
        async with self._syncing:
            changed = self._changed()
            for _ in range(ROUNDS):
                await self._exchange(changed[:PUSHED_AT_ONCE])
                changed = self._changed()
                if not changed:
                    return

    async def close(self) -> None:
        """Let the connections go."""
        await self._link.close()

    def _changed(self) -> list[tuple[str, bytes]]:
        """Every field that Redis is not known to hold as it is here."""
        changed = []
        for shared in self._kinds.values():
            for name, record in shared.local():
                field = f"{shared.kind}:{name}"
                if self._told.get(field) is record:
                    continue
                text = plain_text(shared.row(record))
                if self._held.get(field) == text:
                    self._told[field] = record
                else:
                    changed.append((field, text))
        return [*changed, *self._locks.changed(), *self._outdated.items()]

    async def _exchange(self, changed: list[tuple[str, bytes]]) -> None:
        sealed = [part for field, text in changed for part in (field, seal(self._peppers, field, text).decode())]
        arguments: list[Part] = [self._epoch, self._version, secrets.token_hex(16), *sealed]
        try:
            epoch, version, *found = await self._link.run(self._script, KEYS, arguments)
        except RedisAway as away:
            raise PolicyUnavailable(f"key_mirror_{away.reason}") from away
        if epoch.decode() != self._epoch:
            self._held.clear()
            self._told.clear()
            self._outdated.clear()
            self._locks.forget()
        async with self._keys.changing:  # an act that is being recorded planned with what is here now
            self._take({found[at].decode(): found[at + 1] for at in range(0, len(found), 2)})
        self._epoch, self._version = epoch.decode(), int(version)

    def _take(self, found: dict[str, bytes]) -> None:
        """Take in what Redis holds. Raises PolicyUnavailable; then it is read again in the next round."""
        try:
            texts = self._unseal(found)
            rows = {field: msgspec.json.decode(text, type=Row) for field, text in texts.items()}
            self._locks.take({field: row for field, row in rows.items() if field.startswith("lockdown:")})
            for kind, shared in self._kinds.items():
                _merge_all(shared, {field: row for field, row in rows.items() if field.startswith(f"{kind}:")})
        except (BrokenSeal, UnfitPepper, msgspec.DecodeError, ValueError, KeyError, TypeError) as fault:
            raise PolicyUnavailable("key_mirror_unsound") from fault
        self._held |= texts
        for field, sealed in found.items():
            if sealed_version(sealed) < max(self._peppers):
                self._outdated[field] = texts[field]
            else:
                self._outdated.pop(field, None)

    def _unseal(self, found: dict[str, bytes]) -> dict[str, bytes]:
        """What was sealed. Raises BrokenSeal and UnfitPepper, once the pepper file was read again."""
        try:
            return {field: unseal(self._peppers, field, sealed) for field, sealed in found.items()}
        except BrokenSeal:
            self._peppers = self._load()
        return {field: unseal(self._peppers, field, sealed) for field, sealed in found.items()}


class _Locks:
    """The lockdowns in Redis by field, and which of them were in force here before."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._known: dict[str, Row] = {}
        self._applied: set[str] = set()

    def forget(self) -> None:
        """Redis lost its data: what was lifted there is lifted here already, what holds here is told again."""
        self._known = {}

    def changed(self) -> list[tuple[str, bytes]]:
        """Those that began or were lifted here."""
        ours = {_lock_field(each): each for each in self._keys.revocations.current.lockdowns.values()}
        begun = {
            field: LOCKDOWNS.row(each) | {"lifted": False} for field, each in ours.items() if field not in self._known
        }
        lifted = {
            field: row | {"lifted": True}
            for field, row in self._known.items()
            if not row["lifted"] and field in self._applied and field not in ours
        }
        self._applied |= begun.keys()
        return [(field, plain_text(row)) for field, row in (begun | lifted).items()]

    def take(self, rows: dict[str, Row]) -> None:
        """What began elsewhere begins here, and what was lifted there ends, unless another holds the team."""
        self._known |= rows
        for field, row in rows.items():
            lock = LOCKDOWNS.record(row)
            current = self._keys.revocations.current.lockdowns.get(lock.team)
            if not row["lifted"] and field not in self._applied:
                if current is None:
                    self._keys.revocations.lock(lock)
                self._applied.add(field)
            elif row["lifted"] and current is not None and _lock_field(current) == field:
                self._follow(lock.team)

    def _follow(self, team: str) -> None:
        """Lift the lockdown of `team`; of others that still hold it the first takes its place."""
        self._keys.revocations.lift(team)
        others = [LOCKDOWNS.record(row) for row in self._known.values() if row["team"] == team and not row["lifted"]]
        if others:
            self._keys.revocations.lock(min(others, key=lambda each: each.since_s))


def _lock_field(lock: Lockdown) -> str:
    return f"lockdown:{lock.team}:{float(lock.since_s)!r}"


def _merge_all(shared: _Shared, rows: dict[str, Row]) -> None:
    """Save those of `rows` that say more than our copies do."""
    ours = dict(shared.local()) if rows else {}
    news = []
    for field, row in rows.items():
        theirs, known = shared.record(row), ours.get(field.partition(":")[2])
        merged = theirs if known is None else shared.merge(known, theirs)
        if merged != known:
            news.append(merged)
    if news:
        shared.save(news)


def _kinds(keys: KeyStore) -> tuple[_Shared, ...]:
    """What is shared, revocations first: they must not wait for a disk that refuses the rest."""
    return (
        _Shared(
            "revocation",
            lambda: ((f"{each.kind}:{each.subject}", each) for each in keys.revocations.current.entries.values()),
            REVOCATIONS.row,
            REVOCATIONS.record,
            merge_revocations,
            lambda found: _each(keys.revocations.revoke, found),
        ),
        _Shared(
            "key",
            lambda: ((each.id, each) for each in keys.records()),
            lambda record: {name: value for name, value in write_row(record).items() if name not in UNTOLD},
            lambda row: read_row(row | {"last_used_s": None, "last_ip": "", "digest": base64.b64decode(row["digest"])}),  # type: ignore[arg-type]
            merge_keys,
            lambda found: keys.save(*found),
        ),
        _Shared(
            "public_key",
            lambda: ((each.id, each) for each in keys.public_keys.records()),
            PUBLIC_KEYS.row,
            lambda row: PUBLIC_KEYS.record(row | {"blob": base64.b64decode(row["blob"])}),
            merge_public_keys,
            lambda found: keys.public_keys.save(*found),
        ),
        _Shared(
            "grant",
            lambda: ((each.id, each) for each in keys.grants.all()),
            GRANTS.row,
            GRANTS.record,
            merge_grants,
            lambda found: _each(keys.grants.save, found),
        ),
    )


def _each(save: Callable[[Any], None], found: list[Any]) -> None:
    for record in found:
        save(record)
