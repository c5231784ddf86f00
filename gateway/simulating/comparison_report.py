"""What `corral simulate` tells of its runs: a table, rows of blocks over time, plain data, and a picture."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, to_builtins

from gateway.simulating.comparison import SLICES, Played
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import TeamFigures
from gateway.simulating.svg_plot import Line, Panel, clock_text, svg_picture
from gateway.simulating.text_plot import block_row

LIMITS = (
    "the queue that serves, on a fluid model of workers with these speeds; not simulated: limits and budgets, "
    "other cached prompts than there were, loading of models, the network"
)

Row = tuple[str, ...]


class Setting(Struct, frozen=True, kw_only=True):
    """What was played: where the requests are from, how many over how long, on which pool, by what chance.

    `notes` are further sentences that the reader must know.
    """

    traffic: str
    requests: int
    span_s: float
    model: EngineModel
    source: str
    seed: int
    retries: int
    notes: tuple[str, ...] = ()


def report_data(setting: Setting, runs: Sequence[Played]) -> dict[str, Any]:
    """All of it as plain data; shares lie in 0 to 1."""
    return {**to_builtins(setting), "limits": LIMITS, "policies": to_builtins(runs)}


def report_lines(setting: Setting) -> list[str]:
    """What stands above the table."""
    pool = setting.model
    speeds = f"{pool.prefill_tokens_per_s:.4g} prompt tokens/s, {_steps(pool)}"
    return [
        f"traffic:    {setting.requests} requests in {clock_text(setting.span_s)}, {setting.traffic}",
        f"pool:       {pool.workers} x {pool.slots} slots, {speeds}; {setting.source}",
        f"simulated:  {LIMITS}; seed {setting.seed}",
        f"callers:    {_callers(setting.retries)}",
        *(f"note:       {note}" for note in setting.notes),
    ]


def report_rows(runs: Sequence[Played]) -> list[Row]:
    """The table's rows: what it is of, and a cell for each run."""
    rows = [
        _row(runs, "all", "kept", lambda run: _percent(run.figures.goodput)),
        _row(runs, "", "work wasted", lambda run: _percent(run.figures.waste)),
        _row(runs, "", "refused, of them late", lambda run: _refused(run.figures.rejected, run.figures.late)),
        _row(
            runs, "", "told a time to return", lambda run: _percent(run.figures.told) if run.figures.refusals else "-"
        ),
        _row(runs, "", "workers' useful time", lambda run: _percent(run.figures.useful_per_worker)),
    ]
    for name in runs[-1].figures.teams:
        rows += _team_rows(runs, name)
    return rows


def plot_lines(runs: Sequence[Played], span_s: float) -> list[str]:
    """Promises kept over time, from nothing to all, a row for each team and run."""
    width = max(len(name) for name in runs[-1].courses)
    labels = [f"{name:<{width}}  {run.name}" for name in runs[-1].courses for run in runs]
    rows = [block_row(run.courses[name].kept, 1.0) for name in runs[-1].courses for run in runs]
    margin = max(map(len, labels))
    lines = [f"{label:<{margin}}  {row}" for label, row in zip(labels, rows, strict=True)]
    end = clock_text(span_s)
    return [
        "promises kept over time (each sign: 0 to 100 %; a dot: nobody asked)",
        *lines,
        f"{'':<{margin}}  0{end:>{SLICES - 1}}",
    ]


def report_svg(setting: Setting, runs: Sequence[Played]) -> str:
    """The same as a picture, with the waits and the shares of work; the last run's lines are whole, others dashed."""
    waits_s = [wait_s for run in runs for each in run.courses.values() for wait_s in each.wait_s if wait_s is not None]
    longest_s = _upper_edge(max(waits_s, default=0.0))
    panels = [
        Panel("promises kept, %", 100.0, _curves(runs, lambda run, name: _scaled(run.courses[name].kept))),
        Panel("mean wait for a slot, s", longest_s, _curves(runs, lambda run, name: run.courses[name].wait_s)),
        Panel("share of the work, %", 100.0, _curves(runs, lambda run, name: _scaled(run.courses[name].share))),
    ]
    return svg_picture(f"{setting.requests} requests, {setting.traffic}", panels, setting.span_s)


def _team_rows(runs: Sequence[Played], name: str) -> list[Row]:
    def of(told: Callable[[TeamFigures], str]) -> Callable[[Played], str]:
        return lambda run: told(run.figures.teams[name])

    work = [sum(each.work for each in run.figures.teams.values()) or 1.0 for run in runs]
    shares = tuple(_percent(run.figures.teams[name].work / whole) for run, whole in zip(runs, work, strict=True))
    return [
        _row(runs, name, "first token promised", lambda run: _seconds(run.promises_s[name])),
        _row(runs, "", "requests", of(lambda team: str(team.callers))),
        _row(runs, "", "kept", of(lambda team: _percent(team.goodput))),
        _row(runs, "", "refused at once", of(lambda team: str(team.refused))),
        _row(runs, "", "refused after waiting", of(lambda team: str(team.refused_late))),
        _row(runs, "", "gave up", of(lambda team: str(team.left))),
        _row(runs, "", "wait, half below", of(lambda team: _seconds(team.p50_wait_s))),
        _row(runs, "", "wait, 99 % below", of(lambda team: _seconds(team.p99_wait_s))),
        ("", "share of the work", *shares),
        *_within_row(runs, name),
    ]


def _within_row(runs: Sequence[Played], name: str) -> list[Row]:
    """All runs by the last one's promise, where policies with different promises stand side by side."""
    promise_s = runs[-1].promises_s[name]
    if promise_s is None or len(runs) == 1:
        return []
    return [_row(runs, "", f"first token in {promise_s:g} s", lambda run: _percent(run.within[name]))]


def _row(runs: Sequence[Played], subject: str, what: str, told: Callable[[Played], str]) -> Row:
    return (subject, what, *map(told, runs))


def _curves(runs: Sequence[Played], points: Callable[[Played, str], Sequence[float | None]]) -> tuple[Line, ...]:
    many = len(runs) > 1
    return tuple(
        Line(f"{name}, {run.name}"[:26] if many else name, points(run, name), colour, dashed=run is not runs[-1])
        for colour, name in enumerate(runs[-1].courses)
        for run in runs
    )


def _upper_edge(most: float) -> float:
    """The least of 1, 2, 4, 10, 20, 40 and so on that is not below `most`."""
    edge = 1.0
    while edge < most:
        edge *= 2.5 if f"{edge:g}"[0] == "4" else 2
    return edge


def _scaled(points: Sequence[float | None]) -> list[float | None]:
    return [None if point is None else 100 * point for point in points]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _refused(rejected: float, late: float) -> str:
    return f"{_percent(rejected)}, {_percent(late)}" if rejected else _percent(rejected)


def _seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.2f} s"


def _steps(pool: EngineModel) -> str:
    """A step's time at a few numbers of requests at once: 1, 2, 4 and so on, and all slots."""
    shown = [number for number in (1, 2, 4, 8, 16, 32, 64) if number < pool.slots] + [pool.slots]
    steps = "/".join(f"{1000 * pool.step_s(number):.3g}" for number in shown)
    return f"{steps} ms a step with {'/'.join(map(str, shown))} at once"


def _callers(retries: int) -> str:
    back = f"come back up to {retries} times when refused, as official clients do" if retries else "do not come back"
    return f"wait up to 600 s for a first token, {back}"
