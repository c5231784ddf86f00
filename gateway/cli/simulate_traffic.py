"""The traffic that `corral simulate` plays: from trace files, or from the home's own log."""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from gateway.audit.audit_files import is_chain, segment_paths, stored_lines
from gateway.cli.output import BAD_INPUT, CommandFault
from gateway.cli.progress import Progress
from gateway.homes.home import Home, open_home
from gateway.simulating.arrivals import Arrival
from gateway.simulating.logged_traffic import Logged, LoggedRequest, NoTraffic, arrivals_of, read_log, recorded_s
from gateway.simulating.stretch import busiest_stretch, sped_up
from gateway.simulating.svg_plot import clock_text
from gateway.simulating.time_window import Window, WindowFault, read_window
from gateway.simulating.trace_file import Trace, TraceFault, join_traces, read_trace
from policies.policy import TEAM_NAME, Policy

LONGEST_ANSWER_S = 3600.0
"""A record is written when its request ends: so much later than it came, at most."""


class Traffic(Struct, frozen=True):
    """The requests to play, in order; what they are, in a few words, and what the reader must know of them.

    `logged` are those of the log that they are from; none for a trace.
    """

    arrivals: list[Arrival]
    words: str
    notes: tuple[str, ...] = ()
    logged: tuple[LoggedRequest, ...] = ()


def read_traffic(arguments: argparse.Namespace, policy: Policy, progress: Progress) -> Traffic:
    """What the arguments name, sped up and cut as they say. Raises CommandFault, NoHome."""
    traces = bool(arguments.trace or arguments.team)
    if traces == bool(arguments.from_audit):
        raise CommandFault("give either traces (--trace, --team) or --from-audit FROM..TO", status=BAD_INPUT)
    try:
        found = _from_traces(arguments, policy, progress) if traces else _from_log(arguments, progress)
    except (TraceFault, WindowFault, NoTraffic) as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    whole = sped_up(found.arrivals, arguments.speed)
    part = busiest_stretch(whole, arguments.most)
    notes = found.notes
    if arguments.speed != 1:
        notes = (*notes, f"the requests come {arguments.speed:g} times as fast as they did")
    if len(part) < len(whole):
        notes = (*notes, _cut_note(part, whole))
    return Traffic(part, found.words, notes, found.logged)


def log_of(home: Home, window: Window, progress: Progress) -> Logged:
    """What the home's log holds of a stretch of time. Raises NoTraffic, CommandFault."""
    try:
        return read_log(progress.count(_lines(home, window), "records"), window)
    except OSError as fault:
        raise CommandFault(f"cannot read the audit log: {fault}", status=BAD_INPUT) from None


def busiest_model(logged: Logged, wanted: str) -> str:
    """The model `wanted`, else the one most asked. Raises NoTraffic when the log has nothing of it."""
    models = [name for name, _ in logged.models()]
    if not models:
        raise NoTraffic("the log holds no request of that time: name a longer stretch, or give a --trace")
    if wanted and wanted not in models:
        raise NoTraffic(f"the log holds no request of that time to {wanted!r}: there are some to {', '.join(models)}")
    return wanted or models[0]


def _from_traces(arguments: argparse.Namespace, policy: Policy, progress: Progress) -> Traffic:
    only = next(iter(policy.teams)) if len(policy.teams) == 1 else None
    wanted = [(path, only, False) for path in arguments.trace] + [(*_named(words), True) for words in arguments.team]
    traces = [_trace(path, team, progress, named=named) for path, team, named in wanted]
    return Traffic(join_traces(traces), f"traced in {', '.join(Path(each.name).name for each in traces)}")


def _named(words: str) -> tuple[Path, str]:
    team, equals, path = words.partition("=")
    if not equals or not path or not TEAM_NAME.match(team):
        raise CommandFault(f"--team {words!r}: give it as NAME=FILE, with a team of the policy", status=BAD_INPUT)
    return Path(path), team


def _trace(path: Path, team: str | None, progress: Progress, *, named: bool) -> Trace:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return read_trace(progress.count(file, "rows"), str(path), team, named=named)
    except OSError as fault:
        raise CommandFault(f"{path}: cannot be read: {fault.strerror}", status=BAD_INPUT) from None
    except UnicodeDecodeError:
        raise CommandFault(f"{path}: not UTF-8: save the trace as plain CSV", status=BAD_INPUT) from None


def _from_log(arguments: argparse.Namespace, progress: Progress) -> Traffic:
    window = read_window(arguments.from_audit, time.time())
    logged = log_of(open_home(arguments.home), window, progress)
    model = busiest_model(logged, arguments.model)
    requests = logged.of_model(model)
    chance = random.Random(arguments.seed)  # noqa: S311 (a simulation's chance)
    arrivals, drawn = arrivals_of(requests, chance)
    return Traffic(arrivals, f"logged, to {model}", tuple(_log_notes(logged, model, drawn)), tuple(requests))


def _log_notes(logged: Logged, model: str, drawn: int) -> Iterator[str]:
    if drawn:
        yield (
            f"requests that never ran: {drawn}, their lengths drawn from their team's others; one that its caller sent "
            "again counts twice"
        )
    others = [f"{count} to {name}" for name, count in logged.models() if name != model]
    if others:
        yield f"left out, being pools of their own: {', '.join(others)}; choose one with --model"
    if embeddings := sum(each.embeds for each in logged.requests):
        yield f"left out, requests for embeddings: {embeddings}"
    if logged.limited:
        yield f"left out, refused by limits before the queue: {logged.limited}"
    if logged.unreadable:
        yield f"left out, lines that are no records: {logged.unreadable}; 'corral audit verify' says more"


def _cut_note(part: list[Arrival], whole: list[Arrival]) -> str:
    return (
        f"only the busiest {len(part)} in a row of {len(whole)} requests, {clock_text(part[-1].at_s)} of "
        f"{clock_text(whole[-1].at_s)}; --most takes more"
    )


def _lines(home: Home, window: Window) -> Iterator[bytes]:
    """The log's whole lines that may be of the window. Raises OSError."""
    if not home.audit.exists():  # nothing was ever served here
        return
    for folder in sorted(entry for entry in home.audit.iterdir() if entry.is_dir() and is_chain(entry)):
        for stored in stored_lines(_segments(folder, window)):
            if stored.data.endswith(b"\n"):  # else it is being written
                yield stored.data


def _segments(folder: Path, window: Window) -> list[Path]:
    """The segments that begin before the window's last records and end after its first."""
    paths = segment_paths(folder)
    begins_s = [_begin_s(path) for path in paths]
    kept = []
    for path, begin_s, end_s in zip(paths, begins_s, [*begins_s[1:], None], strict=True):
        is_before = end_s is not None and end_s < window.from_s
        is_after = begin_s is not None and begin_s > window.to_s + LONGEST_ANSWER_S
        if not is_before and not is_after:
            kept.append(path)
    return kept


def _begin_s(path: Path) -> float | None:
    """When the first record of a segment was written; None where that cannot be read."""
    first = next(stored_lines([path]), None)
    return recorded_s(first.data) if first else None
