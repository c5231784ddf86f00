"""A filter as SQL for the index: text with placeholders only, and what stands in them.

Decides which index a search walks and how; runs nothing. What somebody typed is never part of the text: the text is
put together from the names of this module alone, and a free search from ASCII letters and digits between quotes.

Theory: a row's id is its time, shifted, so every index of one column is in order of time within one value, and the
newest rows of a value are read from its end, without sorting. Of several conditions one drives: its index is walked
and the others are tested on its rows: `likely` keeps SQLite from walking theirs, and from sorting because it hopes for
few rows. The rarest drives best; how rare each is gets counted up to `PROBE_ROWS`, which costs a millisecond, rather
than guessed from statistics that grow old.

A question (`policies.auditing.questions`) is many values too: it drives where all of them together are rare, else its
rows are tested. The teams that somebody may see are always tested, never trusted to what drives.

A network is many values: its rows must be sorted. Where it has more than `PROBE_ROWS` of them they are likely among
the newest rows, so those (`NEAR_ROWS`) are looked through first, in order of time.
"""

from collections.abc import Iterable

from msgspec import Struct

from policies.auditing.search_filter import Network, Word

PROBE_ROWS = 5_000
NEAR_ROWS = 200_000
"""Read in order in about a tenth of a second."""
SLOT_BITS = 10
"""Room for 1,024 records of one microsecond; those beyond are kept as of the next one. Times reach to the year 2255."""
MAX_AT_US = 2**53 - 1
COLUMNS = ("event", "stage", "outcome", "reason", "team", "key", "actor", "model", "route", "address", "request")
"""Each has an index called by_COLUMN."""
TEXTS = ("words", "told")
"""The tables of free search: of requests, and of what else happened."""
BY_TIME = "time"
BY_PLACE = "place"
BY_ASK = "ask"
_FIELDS = "records.id, records.chain, records.seq, records.segment, records.start, records.digest"
_IN_NETWORK = "IN (SELECT id FROM addresses WHERE value BETWEEN ? AND ?)"

Value = int | bytes | str


class Statement(Struct, frozen=True):
    """SQL and what stands in its placeholders."""

    sql: str
    values: tuple[Value, ...]


class Question(Struct, frozen=True, kw_only=True):
    """A filter in the index's own numbers: columns that equal a value, rows from `first` up to before `last`."""

    equal: tuple[tuple[str, int], ...] = ()
    actors: tuple[int, ...] = ()
    network: Network | None = None
    words: str = ""
    first: int = 0
    last: int = 2**63 - 1
    any_of: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Columns, at least one of which must be among its values."""
    teams: tuple[int, ...] | None = None
    """The only teams whose rows may be answered; None for all rows, those without a team too."""


class Places(Struct, frozen=True):
    """The rows of one chain after seq `after`, up to and with `upto`."""

    chain: int
    after: int
    upto: int


def row_id(at_us: int) -> int:
    """The lowest id of the rows of a time in Unix microseconds."""
    return min(max(at_us, 0), MAX_AT_US) << SLOT_BITS


def words_expression(words: Iterable[Word]) -> str:
    """The FTS5 expression for all of `words`, which are made of ASCII letters and digits."""
    return " AND ".join(f'"{word.text}"{" *" if word.prefix else ""}' for word in words)


def drivers(question: Question) -> tuple[str, ...]:
    """The indexes that the question could be answered from, in the order of trying."""
    named = [column for column, _ in question.equal]
    named += ["actor"] if question.actors else []
    named += ["address"] if question.network else []
    return (*named, *(TEXTS if question.words else ()))


def probe(question: Question, driver: str) -> Statement:
    """Counts the rows of one driver, up to `PROBE_ROWS`."""
    source, conditions, values = _driven(question, driver)
    return Statement(
        f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {' AND '.join(conditions)} LIMIT {PROBE_ROWS})",  # noqa: S608
        tuple(values),
    )


def ask_probes(question: Question) -> tuple[Statement, ...]:
    """One count for each value of `any_of`, as `probe`."""
    one = (
        Question(equal=((column, value),), first=question.first, last=question.last)
        for column, values in question.any_of
        for value in values
    )
    return tuple(probe(each, each.equal[0][0]) for each in one)


def floor(question: Question) -> Statement:
    """The id that `NEAR_ROWS` of the question's time lie above; no row when there are fewer."""
    return Statement(
        "SELECT id FROM records NOT INDEXED WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        (question.first, question.last, NEAR_ROWS),
    )


def newest(question: Question, driver: str, limit: int) -> Statement:
    """The newest rows that fit, at most `limit`."""
    source, conditions, values = _whole(question, driver)
    key = f"{driver}.rowid" if driver in TEXTS else "records.id"
    return Statement(
        f"SELECT {_FIELDS} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {key} DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    )


def in_order(question: Question, driver: str, places: Places) -> Statement:
    """All rows of a chain that fit, in the order of their seqs."""
    source, conditions, values = _whole(question, driver, places)
    return Statement(
        f"SELECT {_FIELDS} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY records.seq",  # noqa: S608
        tuple(values),
    )


def total(question: Question, driver: str, places: Places) -> Statement:
    """How many rows of a chain fit."""
    source, conditions, values = _whole(question, driver, places)
    return Statement(f"SELECT count(*) FROM {source} WHERE {' AND '.join(conditions)}", tuple(values))  # noqa: S608


def _whole(question: Question, driver: str, places: Places | None = None) -> tuple[str, list[str], list[Value]]:
    """Where rows come from, all conditions, and their values."""
    source, conditions, values = _asked(question) if driver == BY_ASK else _driven(question, driver, places)
    for column, value in question.equal:
        if column != driver:
            conditions.append(f"likely(records.{column} = ?)")
            values.append(value)
    if question.actors and driver != "actor":
        conditions.append(f"likely(records.actor IN ({_marks(question.actors)}))")
        values += question.actors
    if question.network and driver != "address":
        conditions.append(f"likely(records.address {_IN_NETWORK})")
        values += (question.network.low, question.network.high)
    if question.words and driver not in TEXTS:
        conditions.append(f"likely({' OR '.join(map(_has_words, TEXTS))})")
        values += (question.words,) * len(TEXTS)
    if question.any_of and driver != BY_ASK:
        conditions.append(f"likely({_any_of(question)})")
        values += [value for _, each in question.any_of for value in each]
    if question.teams is not None:
        conditions.append(f"records.team IN ({_marks(question.teams)})")
        values += question.teams
    if places is not None and driver != BY_PLACE:
        conditions.append("likely(records.chain = ? AND records.seq > ? AND records.seq <= ?)")
        values += (places.chain, places.after, places.upto)
    return source, conditions, values


def _asked(question: Question) -> tuple[str, list[str], list[Value]]:
    """The rows of `any_of` together as the driver: each index read for itself, none of their rows twice."""
    rows = [
        f"SELECT id FROM records INDEXED BY by_{column} WHERE {column} IN ({_marks(each)}) AND id >= ? AND id < ?"  # noqa: S608
        for column, each in question.any_of
    ]
    values = [value for _, each in question.any_of for value in (*each, question.first, question.last)]
    return f"({' UNION '.join(rows)}) AS asked CROSS JOIN records ON records.id = asked.id", ["TRUE"], [*values]


def _driven(question: Question, driver: str, places: Places | None = None) -> tuple[str, list[str], list[Value]]:
    """The driver's own condition and the span of time."""
    span: list[Value] = [question.first, question.last]
    if driver in TEXTS:
        source = f"{driver} CROSS JOIN records ON records.id = {driver}.rowid"
        return source, [f"{driver} MATCH ?", f"{driver}.rowid >= ?", f"{driver}.rowid < ?"], [question.words, *span]
    bounds = ["records.id >= ?", "records.id < ?"]
    if driver == BY_TIME:
        return "records NOT INDEXED", bounds, span
    source = f"records INDEXED BY by_{driver}"
    if driver == BY_PLACE and places is not None:
        conditions = [
            "records.chain = ?",
            "records.seq > ?",
            "records.seq <= ?",
            "likely(records.id >= ?)",
            "likely(records.id < ?)",
        ]
        return source, conditions, [places.chain, places.after, places.upto, *span]
    if driver == "actor" and question.actors:
        return source, [f"records.actor IN ({_marks(question.actors)})", *bounds], [*question.actors, *span]
    if driver == "address" and question.network:
        return source, [f"records.address {_IN_NETWORK}", *bounds], [question.network.low, question.network.high, *span]
    return source, [f"records.{driver} = ?", *bounds], [dict(question.equal)[driver], *span]


def _has_words(table: str) -> str:
    return f"EXISTS (SELECT 1 FROM {table} WHERE {table} MATCH ? AND {table}.rowid = records.id)"  # noqa: S608


def _any_of(question: Question) -> str:
    return " OR ".join(f"records.{column} IN ({_marks(each)})" for column, each in question.any_of)


def _marks(values: tuple[int, ...]) -> str:
    return ", ".join("?" * len(values))
