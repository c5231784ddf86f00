"""What the index alone can add up for a page: who was refused how often, where a key was used from, what is new.

Counts come from the index and are for finding one's way; every record that is shown is read again from the log. All is
bounded: by the rows that are counted, by the groups that are shown, and by the reading's own time (`log_reading`).
"""

import json
import sqlite3
from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import Struct

from gateway.audit.index.index_rows import Names
from gateway.audit.index.index_search import Hit
from policies.auditing.query import PROBE_ROWS, SLOT_BITS, row_id

COUNTED = 20_000
"""Newest rows of an answer that are added up."""
GROUPS = 25
KEY_ROWS = 200_000
ADDRESSES = 50
PAIRS = 5_000
"""Keys with addresses of one span of time that are looked at; more is no question for one page."""
_GROUPING = "outcome, reason, team, key, actor, event"


class Group(Struct, frozen=True):
    """Rows that are alike in who and why. Unix microseconds; `newest` is one of them, to be read from the log."""

    count: int
    addresses: int
    first_us: int
    last_us: int
    newest: Hit


class Used(Struct, frozen=True):
    """An address, how often and when it was seen, in Unix microseconds; of a key where several are told."""

    address: str
    count: int
    first_us: int
    last_us: int
    key: str = ""
    team: str = ""
    first_use: bool = False
    """Whether the key itself was never seen before."""


def groups(database: sqlite3.Connection, hits: Sequence[Hit]) -> list[Group]:
    """`hits` grouped by outcome, reason, team, key, actor and event, the largest first, at most `GROUPS`."""
    sql = (
        f"SELECT count(*), count(DISTINCT address), min(id), max(id) FROM records "  # noqa: S608 (names of ours)
        f"WHERE id IN (SELECT value FROM json_each(?)) GROUP BY {_GROUPING} ORDER BY 1 DESC, 4 DESC LIMIT {GROUPS:d}"
    )
    found = database.execute(sql, (json.dumps([hit.id for hit in hits]),)).fetchall()
    newest = {hit.id: hit for hit in hits}
    return [
        Group(count, addresses, first >> SLOT_BITS, last >> SLOT_BITS, newest[last])
        for count, addresses, first, last in found
    ]


def hit_at(database: sqlite3.Connection, chain: str, seq: int) -> Hit | None:
    """The row of a record, if there is one."""
    sql = (
        "SELECT records.id, records.chain, records.seq, records.segment, records.start, records.digest FROM chains "
        "CROSS JOIN records INDEXED BY by_place ON records.chain = chains.id WHERE chains.name = ? AND records.seq = ?"
    )
    row = database.execute(sql, (chain, seq)).fetchone()
    return None if row is None else Hit(*row)


def addresses_of(
    database: sqlite3.Connection, key: str, since_us: int, teams: Sequence[str] | None = None
) -> list[Used]:
    """From where a key was used since then, the most used first; of its newest `KEY_ROWS` rows."""
    names = Names(database)
    number = names.find(key)
    allowed, values = _of_teams(names, teams)
    if number is None or (teams is not None and not values):
        return []
    sql = (
        f"SELECT value, count(*), min(row), max(row) FROM (SELECT id AS row, address FROM records INDEXED BY by_key "  # noqa: S608
        f"WHERE key = ? AND id >= ?{allowed} ORDER BY id DESC LIMIT {KEY_ROWS:d}) "
        f"JOIN addresses ON addresses.id = address GROUP BY address ORDER BY 2 DESC, 4 DESC LIMIT {ADDRESSES:d}"
    )
    rows = database.execute(sql, (number, row_id(since_us), *values)).fetchall()
    return [Used(_text(value), count, low >> SLOT_BITS, high >> SLOT_BITS) for value, count, low, high in rows]


def new_addresses(
    database: sqlite3.Connection, since_us: int, until_us: int, teams: Sequence[str] | None = None
) -> tuple[list[Used], bool]:
    """Keys with the addresses they were never used from before `since_us`, newest first; whether that is all."""
    allowed, values = _of_teams(Names(database), teams)
    if teams is not None and not values:
        return [], True
    sql = (
        f"SELECT key, address, count(*), min(id), max(id), max(team) FROM records NOT INDEXED WHERE id >= ? AND id < ? "  # noqa: S608
        f"AND key IS NOT NULL AND address IS NOT NULL{allowed} GROUP BY key, address LIMIT {PAIRS + 1:d}"
    )
    first = row_id(since_us)
    pairs = database.execute(sql, (first, row_id(until_us), *values)).fetchall()
    fresh = [pair for pair in pairs[:PAIRS] if not _was_there(database, pair[0], pair[1], first)]
    fresh.sort(key=lambda pair: -pair[3])
    return [_used(database, pair, first) for pair in fresh[: 4 * ADDRESSES]], len(pairs) <= PAIRS


def _used(database: sqlite3.Connection, pair: tuple[int, int, int, int, int, int | None], first: int) -> Used:
    key, address, count, low, high, team = pair
    value = database.execute("SELECT value FROM addresses WHERE id = ?", (address,)).fetchone()[0]
    known = database.execute("SELECT 1 FROM records INDEXED BY by_key WHERE key = ? AND id < ?", (key, first))
    return Used(
        _text(value),
        count,
        low >> SLOT_BITS,
        high >> SLOT_BITS,
        key=_name(database, key),
        team=_name(database, team),
        first_use=known.fetchone() is None,
    )


def _was_there(database: sqlite3.Connection, key: int, address: int, before: int) -> bool:
    """Whether the key was used from the address before that row; the rarer of the two indexes is walked."""
    counts = {
        column: database.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM records INDEXED BY by_{column} "  # noqa: S608 (names of ours)
            f"WHERE {column} = ? AND id < ? LIMIT {PROBE_ROWS:d})",
            (value, before),
        ).fetchone()[0]
        for column, value in (("address", address), ("key", key))
    }
    rarer = min(counts, key=lambda column: counts[column])
    sql = f"SELECT 1 FROM records INDEXED BY by_{rarer} WHERE key = ? AND address = ? AND id < ? LIMIT 1"  # noqa: S608
    return database.execute(sql, (key, address, before)).fetchone() is not None


def _of_teams(names: Names, teams: Sequence[str] | None) -> tuple[str, tuple[int, ...]]:
    """A condition more, for who may see some teams only; without values the index knows none of them."""
    if teams is None:
        return "", ()
    numbers = tuple(number for team in teams if (number := names.find(team)) is not None)
    return f" AND team IN ({', '.join('?' * len(numbers))})", numbers


def _name(database: sqlite3.Connection, number: int | None) -> str:
    row = database.execute("SELECT text FROM names WHERE id = ?", (number,)).fetchone()
    return "" if row is None else str(row[0])


def _text(packed: bytes) -> str:
    """What `policies.auditing.record_facts.packed` made of an address, as text."""
    return str(ip_address(packed[1:]))
