"""What the pages find in the log: questions put together from a reading's answers. All block; each within its bounds.

Nothing here is shown before its record is lasting: a page finds, records, and opens what it found after that
(`opened_views`), so that who was erased meanwhile is not named.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from gateway.audit.index.found_lines import FoundLine
from gateway.audit.index.opened_records import OpenedRecords, opened_records
from gateway.audit.index.reviewed_spans import spans_of
from gateway.console.auditing.asking import Asked, bound_to, filter_of, told
from gateway.console.auditing.log_reading import SECONDS, Reading, told_faults
from gateway.console.auditing.tallies import COUNTED, Group, Used, addresses_of, groups, hit_at, new_addresses
from gateway.console.page import Turned
from gateway.console.world import World
from gateway.homes.home import Home
from policies.auditing.conditions import Place
from policies.auditing.query import SLOT_BITS
from policies.auditing.record_view import RecordView, part, record_view
from policies.auditing.review import Span
from policies.auditing.search_filter import Filter
from policies.console.viewer import Viewer

PAGE = 50
STAGES = 20
"""Records of one request: it has two, or three."""
FLOOD = "refusals.sampled"


class Found(Struct, frozen=True, kw_only=True):
    """What a search found. `exact` is what was asked with its times as moments, so that later pages ask the same."""

    lines: list[FoundLine]
    cursor: str = ""
    exact: dict[str, str]
    told: dict[str, str]
    groups: list[tuple[Group, FoundLine]] = []
    counted: int = 0
    counted_all: bool = True
    floods: int = 0
    spans: tuple[Span, ...] = ()
    notes: list[str] = []
    behind: bool = False


class Shown(Struct, frozen=True):
    """A record for a page: what a list shows of it, the opened record, and its exact line."""

    view: RecordView
    record: dict[str, Any]
    line: str


class KeyStory(Struct, frozen=True, kw_only=True):
    """What a key did: from where, what became of it, and the newest records."""

    addresses: list[Used]
    groups: list[tuple[Group, FoundLine]]
    lines: list[FoundLine]
    counted: int
    counted_all: bool


def search(reading: Reading, home: Home, viewer: Viewer, asked: Asked, at: tuple[int, Place | None]) -> Found:
    """What fits, `PAGE` records at a time; the sums for the first page only. `at`: now in Unix microseconds, cursor.

    Raises ValueError with a sentence for whoever asked.
    """
    now_us, before = at
    wanted = filter_of(asked, viewer, now_us, reading.records)
    hits = reading.hits(wanted, COUNTED if before is None else PAGE, before)
    lines = reading.lines(wanted, hits[:PAGE], home)
    chains = reading.rows.chains()
    last = hits[PAGE - 1] if len(hits) >= PAGE else None
    return Found(
        lines=lines,
        cursor=f"{chains[last.chain]}:{last.seq}" if last else "",
        exact=asked.conditions | _moments(wanted, max(now_us, (hits[0].id >> SLOT_BITS) + 1 if hits else 0)),
        told=told(asked, viewer, reading.records),
        groups=_groups(reading, home, wanted, hits) if before is None else [],
        counted=len(hits),
        counted_all=len(hits) < COUNTED,
        floods=_floods(reading, home, wanted) if before is None and asked.conditions.get("ask") == "refused" else 0,
        spans=spans_of(reading.database, wanted),
        notes=reading.notes,
        behind=reading.behind,
    )


def one_record(reading: Reading, home: Home, viewer: Viewer, place: Place) -> list[FoundLine]:
    """The record, and of a request's record all of that request, by time. Raises Turned where nothing is to be seen."""
    hit = hit_at(reading.database, *place)
    mine = bound_to(Filter(), viewer)
    lines = reading.lines(mine, [hit], home) if hit is not None else []
    if not lines:
        raise Turned(404, "audit.no_record")
    request = reading.records.facts(lines[0].record).request
    return [lines[0], *(line for line in one_request(reading, home, viewer, request) if line.line != lines[0].line)]


def one_request(reading: Reading, home: Home, viewer: Viewer, request: str) -> list[FoundLine]:
    """Its records by time; none for a request that is not there, or not to be seen."""
    if not request:
        return []
    wanted = bound_to(Filter(request=request), viewer)
    return list(reversed(reading.lines(wanted, reading.hits(wanted, STAGES), home)))


def key_story(reading: Reading, home: Home, viewer: Viewer, key: str, since_us: int) -> KeyStory:
    """What a key did since then. Raises Turned for a key that no record names, or none that may be seen."""
    wanted = bound_to(Filter(key=key, since_us=since_us), viewer)
    hits = reading.hits(wanted, COUNTED)
    if not hits and not reading.hits(bound_to(Filter(key=key), viewer), 1):
        raise Turned(404, "audit.no_key")
    return KeyStory(
        addresses=addresses_of(reading.database, key, since_us, wanted.teams),
        groups=_groups(reading, home, wanted, hits),
        lines=reading.lines(wanted, hits[:PAGE], home),
        counted=len(hits),
        counted_all=len(hits) < COUNTED,
    )


def strangers(reading: Reading, viewer: Viewer, since_us: int, until_us: int) -> tuple[list[Used], bool]:
    """Addresses that are new for a key, and whether these are all."""
    teams = None if viewer.teams is None else sorted(viewer.teams)
    return new_addresses(reading.database, since_us, until_us, teams)


def counted_in(reading: Reading, wanted: Filter, spans: Sequence[Span]) -> int:
    """How many records of these stretches fit."""
    numbers = {name: number for number, name in reading.rows.chains().items()}
    there = (span for span in spans if span.chain in numbers)
    return sum(reading.rows.count(wanted, numbers[span.chain], span.first - 1, span.last) for span in there)


def opened_views(world: World, lines: Sequence[FoundLine]) -> list[Shown]:
    """The lines for a reader's eyes, as far as they can be opened now, and none where names are not shown at all.

    Raises Turned.
    """
    with told_faults(SECONDS), opened_records(world.home) as records:
        return [_shown(records, line, names=world.acts_alone) for line in lines]


def _shown(records: OpenedRecords, line: FoundLine, *, names: bool) -> Shown:
    opened = records.shown(line.record, names=names)
    return Shown(record_view(line.chain, line.seq, opened), opened, line.line.decode("ascii", "backslashreplace"))


def _groups(reading: Reading, home: Home, wanted: Filter, hits: list[Any]) -> list[tuple[Group, FoundLine]]:
    """The groups, each with its newest line; one whose line does not fit after all is left out."""
    found = groups(reading.database, hits)
    lines = reading.lines(wanted, [group.newest for group in found], home)
    by_place = {(line.chain, line.seq): line for line in lines}
    chains = reading.rows.chains()
    pairs = ((group, by_place.get((chains[group.newest.chain], group.newest.seq))) for group in found)
    return [(group, line) for group, line in pairs if line is not None]


def _floods(reading: Reading, home: Home, wanted: Filter) -> int:
    """How many refusals of the same question were only counted (policies/auditing/refusal_sampling.py)."""
    sampled = Filter(event=FLOOD, since_us=wanted.since_us, until_us=wanted.until_us, teams=wanted.teams)
    lines = reading.lines(sampled, reading.hits(sampled, COUNTED), home)
    counts = (part(line.record, "details").get("count") for line in lines)
    return sum(count for count in counts if isinstance(count, int))


def _moments(wanted: Filter, end_us: int) -> dict[str, str]:
    """`since` and `until` as moments; without an end it is now, or behind a record of a clock that is ahead."""
    until_us = end_us if wanted.until_us is None else wanted.until_us
    told_times = {"until": _moment(until_us)}
    return told_times if wanted.since_us is None else {"since": _moment(wanted.since_us)} | told_times


def _moment(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
