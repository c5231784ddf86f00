"""Searching the audit log by any indexed condition takes less than a second over ten million records.

Made-up records of a year (requests of two stages, refusals, a few admin acts) go into an index through the same
functions that real ones do, without their segments, which would take six times the room. Each condition is then asked
for something common, something rare and something unknown, and combined; what the index counts is compared with what
was made. The disk that it takes is told, and bounded before it begins. The same is asked for who may see some teams
only, and the sums of the console's pages, which have a page's ten seconds (gateway/console/auditing/log_reading.py).
"""

import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from gateway.audit.index import index_file
from gateway.audit.index.index_rows import Indexed, Names, insert
from gateway.audit.index.index_search import Rows
from gateway.audit.index.reviewed_spans import spans_of
from gateway.console.auditing.log_reading import SECONDS
from gateway.console.auditing.tallies import COUNTED, addresses_of, groups, new_addresses
from policies.auditing.record_facts import Facts, packed
from policies.auditing.search_filter import read_filter

START_US = 1_767_225_600_000_000  # 2026-01-01
DAY_US = 86_400_000_000
YEAR_US = 365 * DAY_US
BATCH = 20_000
MOST_S = 1.0
LIMIT = 50
BYTES_A_RECORD = 500
"""Room that must be free; the index takes some 360."""
REASONS = ("key_unknown", "model_not_allowed", "requests_per_minute", "queue_full", "address_not_allowed")


class Size(NamedTuple):
    """How many records."""

    records: int


FULL = Size(10_000_000)
SMALL = Size(20_000)


def prove(size: Size = FULL) -> dict[str, Any]:
    """Run it. Raises AssertionError for a wrong count or a search that takes too long."""
    figures = measure(size)
    slow = {name: took for name, took in figures["seconds"].items() if took >= MOST_S}
    assert not slow, f"over {MOST_S} s: {slow}"
    late = {name: took for name, took in figures["pages"].items() if took >= SECONDS}
    assert not late, f"over the {SECONDS} s of a page: {late}"
    return figures


def measure(size: Size) -> dict[str, Any]:
    """The figures; counts are checked, times are not."""
    with tempfile.TemporaryDirectory(dir=_roomy(size)) as folder:
        audit = Path(folder)
        made, began_s = Counter[tuple[str, str]](), time.monotonic()
        with index_file.made_anew(audit) as database:
            _fill(database, size.records, made)
        built_s = time.monotonic() - began_s
        with closing(index_file.connect(audit / index_file.NAME)) as database:
            checked = _check_counts(Rows(database), size.records, made)
            seconds = {name: _time(Rows(database), asked) for name, asked in _questions(size.records).items()}
            seconds |= {name: _time(Rows(database), *asked) for name, asked in _bound().items()}
            pages = {name: _took(page, database) for name, page in PAGES.items()}
        taken = (audit / index_file.NAME).stat().st_size
    return {
        "records": size.records,
        "index_bytes": taken,
        "bytes_a_record": round(taken / size.records),
        "built_s": round(built_s, 1),
        "records_a_second_built": round(size.records / built_s),
        "counts_checked": checked,
        "slowest_s": max(seconds.values()),
        "seconds": seconds,
        "pages": pages,
    }


def _roomy(size: Size) -> str:
    """Where there is room for it. Raises AssertionError where there is not."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    assert free > size.records * BYTES_A_RECORD, f"{folder} has {free} bytes free: set TMPDIR to a larger disk"
    return folder


def _fill(database: sqlite3.Connection, count: int, made: Counter[tuple[str, str]]) -> None:
    """Take `count` made-up records in."""
    names = Names(database)
    database.execute("INSERT INTO chains (name) VALUES ('box-0')")
    records = _records(count, made)
    for first in range(0, count, BATCH):
        batch = [
            Indexed(seq, seq * 600, b"\0" * 16, facts)
            for seq, facts in zip(range(first, min(first + BATCH, count)), records, strict=False)
        ]
        with database:
            database.execute("BEGIN IMMEDIATE")
            insert(database, names, (1, 0), batch)
        if first % (50 * BATCH) == 0:
            print(f"{first:,} records taken in", flush=True)
    database.execute("INSERT INTO segments VALUES (1, 0, '000000000000.jsonl', 0, ?, 0, x'', '')", (count - 1,))


def _records(count: int, made: Counter[tuple[str, str]]) -> Iterator[Facts]:
    """Made-up facts, oldest first; what they say is counted in `made`."""
    chance = random.Random(7)
    for number in range(count):
        at_us = START_US + number * YEAR_US // count
        facts = _admin(number, at_us) if number % 1000 == 999 else _request(number, at_us, chance)
        for name in ("event", "stage", "outcome", "reason", "team", "model"):
            if said := getattr(facts, name):
                made[name, said] += 1
        yield facts


def _request(number: int, at_us: int, chance: random.Random) -> Facts:
    """One stage of a request; every eleventh was refused, one in 100,000 for a rare reason, by a rare team."""
    rare = number % 100_000 == 5
    person = min(int(chance.expovariate(1 / 400)), 2_999)
    refused = number % 11 == 5
    first = number % 2 == 0
    team = "rare-team" if rare else f"team-{person % 40}"
    reason = "kill_switch" if rare else REASONS[number % 5] if refused else ""
    stage = "denied" if refused else "authorized" if first else "completed"
    event = "request.denied" if refused else "request.authorized" if first else "request.completed"
    third = person * 7 % 20_000
    return Facts(
        at_us=at_us,
        event=event,
        stage=stage,
        outcome="deny" if refused else "allow",
        reason=reason,
        team=team,
        key=f"key{person:09d}",
        actor=f"p{person:016d}",
        model=f"model-{person % 12}:7b",
        route="/api/chat" if person % 3 else "/v1/chat/completions",
        request=f"0190-{number // 2:012x}",
        address=packed(f"10.{third >> 8 & 255}.{third & 255}.{person % 250}"),
        more="api_key key POST stop worker-1",
    )


def _admin(number: int, at_us: int) -> Facts:
    """An admin act; one in ten changes the policy."""
    event = "policy.changed" if number % 10_000 == 9_999 else "key.created"
    ticket = f"change ticket ops{number // 1000} weight of a team"
    return Facts(at_us=at_us, event=event, stage="admin", outcome="allow", actor="p" + "a" * 16, more=ticket)


def _questions(count: int) -> dict[str, dict[str, str]]:
    """What is asked: each condition alone, common, rare and unknown, then some together."""
    middle = f"0190-{count // 4:012x}"
    alone = {
        "nothing": {},
        "time, a day": {"since": "2026-06-01", "until": "2026-06-02"},
        "time, the first hour": {"until": "2026-01-01T01:00:00Z"},
        "team, common": {"team": "team-1"},
        "team, rare": {"team": "rare-team"},
        "team, unknown": {"team": "nobody"},
        "key, common": {"key": "key000000001"},
        "key, rare": {"key": "key000002999"},
        "actor, common": {"actor": "p0000000000000001"},
        "actor, rare": {"actor": "p0000000000002999"},
        "address, common": {"address": "10.0.7.1"},
        "address, unknown": {"address": "192.0.2.1"},
        "network, /24": {"address": "10.0.7.0/24"},
        "network, /16": {"address": "10.1.0.0/16"},
        "network, /8": {"address": "10.0.0.0/8"},
        "network, none in it": {"address": "192.0.2.0/24"},
        "network, of IPv6": {"address": "2001:db8::/32"},
        "model": {"model": "model-3:7b"},
        "route": {"route": "/v1/chat/completions"},
        "outcome, allow": {"outcome": "allow"},
        "outcome, deny": {"outcome": "deny"},
        "outcome, none": {"outcome": "shed"},
        "reason, common": {"reason": "queue_full"},
        "reason, rare": {"reason": "kill_switch"},
        "event, common": {"event": "request.completed"},
        "event, rare": {"event": "policy.changed"},
        "stage, common": {"stage": "denied"},
        "stage, rare": {"stage": "admin"},
        "request": {"request": middle},
        "text, common": {"text": "chat"},
        "text, rare": {"text": "kill_switch"},
        "text, an admin's": {"text": "ops3 ticket"},
        "text, beginning": {"text": "rare*"},
        "text, unknown": {"text": "xyzzy"},
        "question, common": {"ask": "refused"},
        "question, rare": {"ask": "policy"},
        "question, of many events": {"ask": "changes"},
        "question, unknown": {"ask": "old-keys"},
    }
    together = {
        "refused in a day": {"since": "2026-06-01", "until": "2026-06-02", "outcome": "deny"},
        "team and outcome": {"team": "team-1", "outcome": "deny"},
        "team and reason": {"team": "team-2", "reason": "queue_full"},
        "key and network": {"key": "key000000001", "address": "10.0.0.0/8"},
        "team, model and text": {"team": "team-1", "model": "model-1:7b", "text": "chat"},
        "refusals of a day": {"ask": "refused", "since": "2026-06-01", "until": "2026-06-02"},
        "changes and text": {"ask": "changes", "text": "ticket"},
        "policy in spring": {"event": "policy.changed", "since": "2026-03-01", "until": "2026-06-01"},
        "rare reason of a network": {"reason": "kill_switch", "address": "10.0.0.0/8", "text": "rare"},
    }
    return {**alone, **{f"together: {name}": asked for name, asked in together.items()}}


def _bound() -> dict[str, tuple[dict[str, str], tuple[str, ...]]]:
    """What is asked by who may see some teams only."""
    lead, auditor = ("team-1",), tuple(f"team-{number}" for number in range(8))
    asked = {
        "nothing": {},
        "question, common": {"ask": "refused"},
        "question, rare": {"ask": "policy"},
        "key, common": {"key": "key000000001"},
        "key of another team": {"key": "key000000039"},
        "text, common": {"text": "chat"},
        "network, /8": {"address": "10.0.0.0/8"},
        "refusals of a day": {"ask": "refused", "since": "2026-06-01", "until": "2026-06-02"},
    }
    one = {f"one team: {name}": (each, lead) for name, each in asked.items()}
    return one | {f"eight teams: {name}": (each, auditor) for name, each in asked.items()}


def _refusals(database: sqlite3.Connection) -> int:
    hits = Rows(database).newest(read_filter({"ask": "refused"}, START_US + YEAR_US), COUNTED)
    return len(groups(database, hits))


PAGES: dict[str, Callable[[sqlite3.Connection], object]] = {
    "sums of the newest refusals": _refusals,
    "addresses of a common key, a month": lambda it: addresses_of(it, "key000000001", START_US + YEAR_US - 30 * DAY_US),
    "addresses of a common key, a year": lambda it: addresses_of(it, "key000000001", START_US),
    "new addresses, a day": lambda it: new_addresses(it, START_US + YEAR_US - DAY_US, START_US + YEAR_US),
    "stretches of a week": lambda it: spans_of(it, read_filter({"since": "7d"}, START_US + YEAR_US)),
}


def _took(page: Callable[[sqlite3.Connection], object], database: sqlite3.Connection) -> float:
    """Seconds of one of the console's sums."""
    began_s = time.perf_counter()
    page(database)
    return round(time.perf_counter() - began_s, 4)


def _time(rows: Rows, asked: dict[str, str], teams: tuple[str, ...] | None = None) -> float:
    """Seconds until the newest are known, the worse of two times."""
    wanted = structs.replace(read_filter(asked, START_US + YEAR_US), teams=teams)
    took = []
    for _ in range(2):
        began_s = time.perf_counter()
        rows.newest(wanted, LIMIT)
        took.append(time.perf_counter() - began_s)
    return round(max(took), 4)


def _check_counts(rows: Rows, count: int, made: Counter[tuple[str, str]]) -> int:
    """The index counts what was made. How many conditions that were; at most a dozen, the rarest."""
    checked = sorted(made.items(), key=lambda each: each[1])[:12]
    for (name, said), expected in checked:
        found = rows.count(read_filter({name: said}, 0), 1, -1, count)
        assert found == expected, f"{name}={said}: {found} found, {expected} were made"
    return len(checked)
