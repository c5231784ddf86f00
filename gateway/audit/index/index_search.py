"""Answers a filter from the index: which rows, found how. The lines themselves are read by `found_lines`."""

import sqlite3
from collections.abc import Iterable, Iterator

from msgspec import Struct

from gateway.audit.index.index_rows import Names, request_number
from policies.auditing.query import (
    BY_ASK,
    BY_PLACE,
    BY_TIME,
    PROBE_ROWS,
    TEXTS,
    Places,
    Question,
    Statement,
    ask_probes,
    drivers,
    floor,
    in_order,
    newest,
    probe,
    row_id,
    total,
    words_expression,
)
from policies.auditing.questions import QUESTIONS
from policies.auditing.search_filter import Filter, Network


class Hit(Struct, frozen=True, order=True):
    """A row of the index: where its line is, and what stands for its bytes."""

    id: int
    chain: int
    seq: int
    segment: int
    start: int
    digest: bytes


class Rows:
    """The answers of one open index. Each raises sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def newest(self, asked: Filter, limit: int, before: int | None = None) -> list[Hit]:
        """The newest rows that fit, at most `limit`, those before the row `before` only."""
        question = self.question(asked, before)
        if question is None:
            return []
        counts = {driver: self._count(probe(question, driver)) for driver in drivers(question)} | self._rare(question)
        driver = self._best(counts)
        if driver in TEXTS:
            return self._merged(question, [text for text in TEXTS if counts[text]], limit)
        if counts.get(driver) == 0:
            return []
        if question.network and counts["address"] >= PROBE_ROWS:
            near = self._near(question, limit)
            if near is not None:
                return near
        return self._hits(newest(question, driver, limit))

    def in_order(self, asked: Filter, chain: int, after: int, upto: int) -> Iterator[Hit]:
        """All rows of one chain that fit, in the order of their seqs."""
        question, places = self.question(asked), Places(chain, after, upto)
        if question is not None:
            yield from map(_hit, self._run(in_order(question, self._walked(question), places)))

    def count(self, asked: Filter, chain: int, after: int, upto: int) -> int:
        """How many rows of one chain fit."""
        question, places = self.question(asked), Places(chain, after, upto)
        return 0 if question is None else self._count(total(question, self._walked(question), places))

    def chains(self) -> dict[int, str]:
        """The chains' names by number."""
        return dict(self._run(Statement("SELECT id, name FROM chains ORDER BY name", ())))

    def segment_name(self, chain: int, first_seq: int) -> str:
        """The name of a segment's plain form."""
        statement = Statement("SELECT name FROM segments WHERE chain = ? AND first_seq = ?", (chain, first_seq))
        return str(next(self._run(statement), ("",))[0])

    def last_seq(self, chain: int) -> int:
        """The last seq of a chain; -1 for one without rows."""
        statement = Statement("SELECT max(seq) FROM records INDEXED BY by_place WHERE chain = ?", (chain,))
        last = next(self._run(statement))[0]
        return -1 if last is None else int(last)

    def id_at(self, chain: str, seq: int) -> int | None:
        """The row of a record, if there is one."""
        sql = (
            "SELECT records.id FROM chains CROSS JOIN records INDEXED BY by_place ON records.chain = chains.id "
            "WHERE chains.name = ? AND records.seq = ?"
        )
        row = next(self._run(Statement(sql, (chain, seq))), None)
        return None if row is None else int(row[0])

    def question(self, asked: Filter, before: int | None = None) -> Question | None:
        """The filter in the index's numbers; None when it names what no record says."""
        names = Names(self._database)
        equal = [(column, names.find(text)) for column, text in asked.exact().items() if column != "request"]
        if asked.request:
            equal.append(("request", request_number(asked.request)))
        actors = tuple(number for each in asked.actors if (number := names.find(each)) is not None)
        network: Network | None = asked.network
        if network is not None and network.single:
            equal.append(("address", names.find(network.low)))
            network = None
        if len(actors) == 1:
            equal.append(("actor", actors[0]))
        found = tuple((column, value) for column, value in equal if value is not None)
        teams = None if asked.teams is None else self._numbers(names, asked.teams)
        any_of = self._any_of(names, asked.ask) if asked.ask else ()
        if len(found) < len(equal) or (asked.actors and not actors) or teams == () or (asked.ask and not any_of):
            return None
        last = 2**63 - 1 if asked.until_us is None else row_id(asked.until_us)
        return Question(
            equal=found,
            actors=actors if len(actors) > 1 else (),
            network=network,
            words=words_expression(asked.words),
            first=0 if asked.since_us is None else row_id(asked.since_us),
            last=last if before is None else min(last, before),
            any_of=any_of,
            teams=teams,
        )

    def _any_of(self, names: Names, ask: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The question in the index's numbers, without what no record says."""
        question = QUESTIONS[ask]
        columns = (("event", question.events), ("reason", question.reasons))
        found = ((column, self._numbers(names, sorted(texts))) for column, texts in columns)
        return tuple((column, numbers) for column, numbers in found if numbers)

    def _numbers(self, names: Names, texts: Iterable[str]) -> tuple[int, ...]:
        return tuple(number for text in texts if (number := names.find(text)) is not None)

    def _rare(self, question: Question) -> dict[str, int]:
        """The question's own driver with its count, where all of its values together are rare."""
        count = 0
        for statement in ask_probes(question):
            count += self._count(statement)
            if count >= PROBE_ROWS:
                return {}
        return {BY_ASK: count} if question.any_of else {}

    def _best(self, counts: dict[str, int]) -> str:
        """The rarest driver; both tables of texts count as one."""
        single = {driver: count for driver, count in counts.items() if driver not in TEXTS}
        if TEXTS[0] in counts:
            single[TEXTS[0]] = sum(counts[text] for text in TEXTS)
        # Where all are many, the text drives: testing it on other rows costs the most.
        return min(reversed(single), key=lambda driver: min(single[driver], PROBE_ROWS), default=BY_TIME)

    def _walked(self, question: Question) -> str:
        """The driver of an answer that is wanted whole: a rare index, else the chain itself."""
        counts = {driver: self._count(probe(question, driver)) for driver in drivers(question) if driver not in TEXTS}
        counts |= self._rare(question)
        rarest = min(counts, key=lambda driver: counts[driver], default=BY_PLACE)
        return rarest if counts.get(rarest, PROBE_ROWS) < PROBE_ROWS else BY_PLACE

    def _merged(self, question: Question, tables: list[str], limit: int) -> list[Hit]:
        found = [hit for table in tables for hit in self._hits(newest(question, table, limit))]
        return sorted(found, reverse=True)[:limit]

    def _near(self, question: Question, limit: int) -> list[Hit] | None:
        """The answer from the newest rows in order of time; None when they are too few."""
        row = next(self._run(floor(question)), None)
        near = question if row is None else Question(**{**_fields(question), "first": row[0]})
        found = self._hits(newest(near, BY_TIME, limit))
        return found if row is None or len(found) == limit else None

    def _hits(self, statement: Statement) -> list[Hit]:
        return list(map(_hit, self._run(statement)))

    def _count(self, statement: Statement) -> int:
        return int(next(self._run(statement))[0])

    def _run(self, statement: Statement) -> Iterator[tuple]:  # type: ignore[type-arg]
        return self._database.execute(statement.sql, statement.values)


def _hit(row: tuple) -> Hit:  # type: ignore[type-arg]
    return Hit(*row)


def _fields(question: Question) -> dict:  # type: ignore[type-arg]
    return {name: getattr(question, name) for name in Question.__struct_fields__}
