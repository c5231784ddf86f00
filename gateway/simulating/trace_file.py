"""Reads the text of a trace: who asked when, with how long a prompt, and how long the answer got.

Two forms, told apart by the first line:
(1) ours: `at_s,prompt_tokens,output_tokens` in any order, and of these as many as are known: `team`,
    `cached_tokens`, `output_cap`, `promise_s`, `band`. An empty cell is one that is not known.
(2) Azure's public traces of 2023: `TIMESTAMP,ContextTokens,GeneratedTokens`, no teams. The moments are dates, so
    several such files keep their places in time.

Rules: a cell that is no number of its kind is a fault, never a guess; so is a column that is not known. Rows may come
in any order. A trace is at most `MAX_ROWS` long, since all of it is held in memory.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from msgspec import Struct, structs

from gateway.simulating.arrivals import Arrival
from policies.policy import TEAM_NAME

MAX_ROWS = 2_000_000
"""About 500 MB of arrivals; a simulation of so many takes hours anyway."""
MAX_TOKENS = 10_000_000
"""No context is as long; a bound, so that no time becomes infinite."""
MAX_S = 10 * 366 * 86_400.0
ANY_LENGTH = MAX_TOKENS
"""The output cap of a request that named none: its team's own then holds."""
REQUIRED = ("at_s", "prompt_tokens", "output_tokens")
OPTIONAL = ("team", "cached_tokens", "output_cap", "promise_s", "band")
AZURE = {"TIMESTAMP": "at_s", "ContextTokens": "prompt_tokens", "GeneratedTokens": "output_tokens"}

MARK = "\ufeff"
WHOLE = re.compile(r"[0-9]{1,12}\Z")
DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?([eE][+-]?[0-9]{1,2})?\Z")

Cell = str | int | float


class TraceFault(Exception):
    """A trace cannot be used. One line: file, line, field, what is wrong, and the remedy."""


class Trace(Struct, frozen=True):
    """What one file holds, in order of time. `dated`: its times are seconds since 1970, not since its start."""

    name: str
    arrivals: list[Arrival]
    dated: bool = False


def read_trace(lines: Iterable[str], name: str, team: str | None, *, named: bool = False) -> Trace:
    """The trace in `lines` (with their ends), all of it `team`'s when the file names none. Raises TraceFault.

    `name` is for the faults. `team` None: the file must name the teams itself; `named`: it must not.
    """
    rows = _rows(lines, name)
    _, head = next(rows, (1, []))
    columns = _columns(head, name)
    if "team" not in columns and team is None:
        raise TraceFault(f"{name}:1: team: it names no teams: say whose traffic it is with --team NAME={name}")
    if "team" in columns and named:
        raise TraceFault(f"{name}:1: team: it names its teams itself: give it with --trace {name}")
    dated = _is_dated(head)
    found = [_arrival(columns, cells, dated, team or "", f"{name}:{line}") for line, cells in rows]
    if not found:
        raise TraceFault(f"{name}: it holds no request: give a file with at least one row")
    return Trace(name, sorted(found, key=_at_s), dated)


def join_traces(traces: Iterable[Trace]) -> list[Arrival]:
    """All their requests in order of time, the first at 0. Dated traces keep their places among each other."""
    traces = list(traces)
    dated_s = min((each.arrivals[0].at_s for each in traces if each.dated), default=0.0)
    joined = [_shifted(each, dated_s if trace.dated else 0.0) for trace in traces for each in trace.arrivals]
    first_s = min((each.at_s for each in joined), default=0.0)
    return sorted((_shifted(each, first_s) for each in joined), key=_at_s)


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its line."""
    reader = csv.reader(lines, strict=True)
    count = 0
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
                count += 1
            if count > MAX_ROWS + 1:
                raise TraceFault(f"{name}: it is longer than {MAX_ROWS} requests: give a part of it")
    except csv.Error as fault:
        raise TraceFault(f"{name}:{reader.line_num}: {fault}: save the file as plain CSV with commas") from None


def _is_dated(head: list[str]) -> bool:
    return any(each.removeprefix(MARK) == "TIMESTAMP" for each in head)


def _columns(head: list[str], name: str) -> tuple[str, ...]:
    """The columns by our names. A byte order mark before the first is no part of it."""
    head = [head[0].removeprefix(MARK), *head[1:]] if head else []
    columns = tuple(AZURE.get(each, each) for each in head)
    for each in columns:
        if each not in (*REQUIRED, *OPTIONAL):
            known = ",".join((*REQUIRED, *OPTIONAL))
            raise TraceFault(f"{name}:1: {each[:64]!a}: there is no such column: name them from {known}")
    for each in REQUIRED:
        if columns.count(each) != 1:
            raise TraceFault(f"{name}:1: {each}: the first line must name this column once")
    if len(set(columns)) < len(columns):
        raise TraceFault(f"{name}:1: a column is named twice: name each once")
    return columns


def _arrival(columns: tuple[str, ...], cells: list[str], dated: bool, team: str, place: str) -> Arrival:
    if len(cells) != len(columns):
        raise TraceFault(f"{place}: it has {len(cells)} cells, the first line {len(columns)}: give one for each column")
    given: dict[str, Cell] = {"team": team, "output_cap": ANY_LENGTH}
    for column, cell in zip(columns, cells, strict=True):
        if cell or column in (*REQUIRED, "team"):
            given[column] = _cell(column, cell, dated, place)
    arrival = Arrival(**given)  # type: ignore[arg-type]  # each cell was read as its column's type
    if arrival.cached_tokens > arrival.prompt_tokens:
        raise TraceFault(f"{place}: cached_tokens: more than prompt_tokens, of which they are a part")
    return arrival


def _cell(column: str, cell: str, dated: bool, place: str) -> Cell:
    read = _date_s if dated and column == "at_s" else READERS[column]
    try:
        return read(cell)
    except ValueError as fault:
        raise TraceFault(f"{place}: {column}: {cell[:40]!a} is {fault}") from None


def _whole(cell: str) -> int:
    if not WHOLE.match(cell) or int(cell) > MAX_TOKENS:
        raise ValueError(f"no count of tokens: give a whole number from 0 to {MAX_TOKENS}")
    return int(cell)


def _cap(cell: str) -> int:
    if _whole(cell) < 1:
        raise ValueError("no cap: give a whole number from 1, or leave the cell empty for none")
    return int(cell)


def _seconds(cell: str) -> float:
    if not DECIMAL.match(cell) or not math.isfinite(float(cell)) or float(cell) > MAX_S:
        raise ValueError("no time: give seconds from the start of the trace, such as 12.5")
    return float(cell)


def _promise(cell: str) -> float:
    if not _seconds(cell) > 0:
        raise ValueError("no promise: give seconds above 0, or leave the cell empty for none")
    return float(cell)


def _team(cell: str) -> str:
    if not TEAM_NAME.match(cell):
        raise ValueError("no name of a team: lower case letters, digits, '_' and '-', at most 63")
    return cell


def _band(cell: str) -> str:
    if not cell.isprintable() or len(cell) > 63:
        raise ValueError("no name of a band: give one of the policy's bands")
    return cell


def _date_s(cell: str) -> float:
    """Seconds since 1970; a moment without an offset is UTC. Digits past the microsecond are dropped."""
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("no moment: give it as 2023-11-16 18:15:46.680590") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


READERS: dict[str, Callable[[str], Cell]] = {
    "at_s": _seconds,
    "prompt_tokens": _whole,
    "output_tokens": _whole,
    "cached_tokens": _whole,
    "output_cap": _cap,
    "promise_s": _promise,
    "team": _team,
    "band": _band,
}


def _at_s(arrival: Arrival) -> float:
    return arrival.at_s


def _shifted(arrival: Arrival, first_s: float) -> Arrival:
    return structs.replace(arrival, at_s=arrival.at_s - first_s) if first_s else arrival
