"""The figures as people read them, in Markdown, and as programs do."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from bench.admission.baselines import BASELINES
from bench.admission.bounds import Bound, first_try, light, mean, useful, waste
from bench.admission.cells import AZURE, CORRAL, CROWDED, LOADS, POOL, RETRIES, SLOWED, SMALL, TWO_TEAMS, UNTOLD, Played
from bench.admission.shares import Shares
from bench.admission.workload import capacity_per_s, code, flood
from bench.admission.workload import light as chats
from gateway.simulating.figures import Figures
from gateway.simulating.prediction_figures import Prediction

Shared = Sequence[tuple[str, Shares]]


def line(one: Played) -> str:
    """One cell, while others are still played."""
    return f"{one.cell.scenario:<17}{one.cell.policy:<33}{one.cell.load:<5g}" + ", ".join(
        f"{name} {value}" for name, value in _summary(one.runs).items()
    )


def sections(played: Sequence[Played], shared: Shared, bounds: Iterable[Bound]) -> Iterator[str]:
    """All of it, a paragraph or a table at a time."""
    yield "Goodput % of all (light team %) / p99 wait in s of those served / wasted work %, at each load:"
    yield _by_load(played)
    yield "Clients that retry as openai-python does, % kept of light and flood / useful work / served when told:"
    yield _table(("queue", *map(str, CROWDED)), _of(played, RETRIES, [UNTOLD, CORRAL, *BASELINES], CROWDED, _retried))
    yield "Azure's recorded hour, % kept of conversations and code / useful work / wasted work %:"
    yield _table(("queue", "0.8", "1.2"), _of(played, AZURE, [*BASELINES, CORRAL], (0.8, 1.2), _replayed))
    yield "A pool of two workers with two slots, and one that slows 1.6 times while it is played (load 1.0 to 1.6):"
    rest = [one for one in played if one.cell.scenario in (SMALL, SLOWED) or one.cell.policy.startswith("Corral, p")]
    yield _table(
        ("scenario", "queue", "load", *_summary(rest[0].runs)),
        [(one.cell.scenario, one.cell.policy, f"{one.cell.load:g}", *_summary(one.runs).values()) for one in rest],
    )
    yield "Waits as foretold and as they turned out, of requests that waited and were served:"
    yield _table(("load", *_prediction_names()), _predicted(played))
    yield from (_share(name, one) for name, one in shared)
    yield "Bounds:"
    yield "\n".join(f"- {bound.line()}" for bound in bounds)


def as_figures(played: Iterable[Played], shared: Shared, bounds: Iterable[Bound]) -> Any:
    """For docs/proofs."""
    return _rounded(
        {
            "capacity_per_s": {each.__name__: capacity_per_s(each, POOL) for each in (chats, flood, code)},
            "cells": [_row(one) for one in played],
            "shares": {name: to_builtins(one) for name, one in shared},
            "bounds": [to_builtins(bound) | {"holds": bound.holds} for bound in bounds],
        }
    )


def put_between(document: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between the two marks of `document`; one without them is left as it is."""
    before, begin, rest = document.read_text().partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if begin and end:
        document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _by_load(played: Sequence[Played]) -> str:
    return _table(
        ("queue", *(f"{load:g}" for load in LOADS)), _of(played, TWO_TEAMS, [*BASELINES, CORRAL], LOADS, _kept)
    )


def _of(
    played: Sequence[Played], scenario: str, policies: Iterable[str], loads: Sequence[float], show: Any
) -> Iterator[tuple[str, ...]]:
    """A row of each policy that was played at all these loads."""
    runs = {(one.cell.policy, one.cell.load): one.runs for one in played if one.cell.scenario == scenario}
    for policy in policies:
        if all((policy, load) in runs for load in loads):
            yield (policy, *(show(runs[policy, load]) for load in loads))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _kept(runs: Sequence[Figures]) -> str:
    return f"{_goodput(runs)} ({100 * light(runs):.1f})/{_p99_s(runs):.1f}/{100 * waste(runs):.1f}"


def _retried(runs: Sequence[Figures]) -> str:
    told = f"/{100 * first_try(runs):.0f} %" if sum(run.booked_tries for run in runs) else ""
    return f"{_team(runs, 'light')} {_team(runs, 'flood')}/{useful(runs):.3f}{told}"


def _replayed(runs: Sequence[Figures]) -> str:
    return f"{_team(runs, 'conv')} {_team(runs, 'code')}/{useful(runs):.3f}/{100 * waste(runs):.1f}"


def _goodput(runs: Sequence[Figures]) -> str:
    return f"{100 * mean([run.goodput for run in runs]):.1f}"


def _team(runs: Sequence[Figures], name: str) -> str:
    return f"{100 * mean([run.teams[name].goodput for run in runs]):.1f}"


def _p99_s(runs: Sequence[Figures]) -> float:
    return mean([run.p99_wait_s or 0.0 for run in runs])


def _summary(runs: Sequence[Figures]) -> dict[str, str]:
    told = sum(run.booked_tries for run in runs)
    return {
        "kept %": f"{_goodput(runs)} ({', '.join(f'{name} {_team(runs, name)}' for name in runs[0].teams)})",
        "p99 s": f"{_p99_s(runs):.1f}",
        "useful": f"{useful(runs):.3f}",
        "waste %": f"{100 * waste(runs):.1f}",
        "refused %": f"{100 * mean([run.rejected for run in runs]):.0f}",
        "late %": f"{100 * mean([run.late for run in runs]):.0f}",
        "Jain": f"{mean([run.jain for run in runs]):.3f}",
    } | ({"first try %": f"{100 * first_try(runs):.0f}"} if told else {})


def _prediction_names() -> tuple[str, ...]:
    return ("group", "waits", "mean s", "off by s", "bias %", "RASE", "MdAPE", "covered %", "in 90 % quantile")


def _predicted(played: Iterable[Played]) -> Iterator[tuple[str, ...]]:
    cells = [one for one in played if one.cell.scenario == TWO_TEAMS and one.cell.policy == CORRAL]
    for one in sorted(cells, key=lambda each: each.cell.load):
        for name, each in one.predictions.items():
            yield (f"{one.cell.load:g}", name, *_prediction(each))


def _prediction(each: Prediction) -> tuple[str, ...]:
    return (
        str(each.waits),
        f"{each.mean_wait_s:.1f}",
        f"{each.mean_error_s:.2f}",
        f"{100 * each.bias:+.0f}",
        f"{each.error:.2f}",
        "" if each.median_relative_error is None else f"{each.median_relative_error:.2f}",
        f"{100 * each.coverage:.0f}",
        f"{100 * each.coverage_90:.0f}",
    )


def _share(name: str, one: Shares) -> str:
    parts = ", ".join(
        f"{team} {part:.3f} of the slots' time and {one.work[team]:.3f} of the work (due {one.due[team]:.2f})"
        for team, part in one.slot_time.items()
    )
    return (
        f"Weights {name}, all backlogged: {parts}. Counters were at most {one.counter_gap:.0f} slot-seconds"
        f" apart; the dearest request cost {one.largest_request:.0f}, the most that one team had running"
        f" {one.largest_charge:.0f}."
    )


def _row(one: Played) -> dict[str, Any]:
    runs = one.runs
    return {
        "scenario": one.cell.scenario,
        "policy": one.cell.policy,
        "load": one.cell.load,
        "seeds": len(runs),
        "goodput": mean([run.goodput for run in runs]),
        "teams": {name: mean([run.teams[name].goodput for run in runs]) for name in runs[0].teams},
        "p99_wait_s": _p99_s(runs),
        "waste": waste(runs),
        "useful_per_worker": useful(runs),
        "rejected": mean([run.rejected for run in runs]),
        "late": mean([run.late for run in runs]),
        "told": mean([run.told for run in runs]),
        "jain": mean([run.jain for run in runs]),
        "booked_tries": sum(run.booked_tries for run in runs),
        "first_try": first_try(runs),
        "predictions": {name: to_builtins(each) for name, each in one.predictions.items()},
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
