"""The queue in lines for a terminal of 80 to 100 columns: who waits for what, who has how much, how fast it goes."""

import re
from collections.abc import Iterable

from gateway.cli.output import table
from policies.admitting.queue_view import PoolView, QueueView, TargetView, TeamView

MAX_ROWS = 20
"""Of a table; the rest is in --json."""
NAME_CELLS = 14
MODEL_CELLS = 20
TARGET_CELLS = 16
NOTHING = "-"
TEAM_LEGEND = (
    "share: of about ten minutes' slot time, due: by weight; ahead: slot time over the least served;",
    "told: a newcomer's wait (p90: nine of ten wait less), real: mean of the last waits;",
    "cover: how many of those were within what admission judged by",
)
POOL_LEGEND = ("holds: one slot, on average; prompt, output: mean tokens x slot time of each when all slots are busy",)

TEAM_HEAD = (
    "team",
    "band",
    "weight",
    "wait",
    "run",
    "backlog",
    "share",
    "due",
    "ahead",
    "told",
    "p90",
    "real",
    "cover",
)
POOL_HEAD = ("model", "kind", "wait", "run", "asks", "holds", "prompt", "output", "promise")
TARGET_HEAD = ("target", "model", "state", "run", "busy", "load", "decode, by requests at once")


def queue_lines(view: QueueView) -> list[str]:
    """The counts, who decides, then the tables of teams, models and targets that have rows."""
    lines = [*_counts(view), *_decider(view)]
    if view.teams:
        teams = sorted(view.teams, key=_matters)
        lines += ["", *_rows(TEAM_HEAD, [_team(each) for each in teams]), *TEAM_LEGEND]
    if view.pools:
        pools = sorted(view.pools, key=lambda each: (-each.waiting, -each.running, each.model, each.kind))
        lines += ["", *_rows(POOL_HEAD, [_pool(each) for each in pools]), *POOL_LEGEND]
    if view.targets:
        targets = sorted(view.targets, key=lambda each: (each.ready, _natural(each.id)))  # those that are away first
        lines += ["", *_rows(TARGET_HEAD, [_target(each) for each in targets])]
    return lines


def short_time(seconds: float) -> str:
    """A time in at most four characters up to four days: 85ms, 1.2s, 118s, 12m, 3.5h."""
    for below, factor, unit in ((0.0995, 1000, "ms"), (9.95, 1, "s"), (119.5, 1, "s"), (7170, 1 / 60, "m")):
        if seconds < below:
            places = 1 if below == 9.95 and seconds > 0 else 0
            return f"{seconds * factor:.{places}f}{unit}" if seconds > 0 else "0s"
    return f"{seconds / 3600:.1f}h" if seconds < 35_820 else f"{seconds / 3600:.0f}h"


def short_rate(per_s: float) -> str:
    """So many a second, a minute or an hour, whichever is a number to read."""
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if per_s * factor >= 0.995:
            return f"{per_s * factor:.2g}/{unit}" if per_s * factor < 99.5 else f"{per_s * factor:.0f}/{unit}"
    return NOTHING


def _counts(view: QueueView) -> list[str]:
    late = f" ({view.refused_late} of them after a wait)" if view.refused_late else ""
    were = "was" if view.refused == 1 else "were"
    booked = "1 refused one is" if view.bookings == 1 else f"{view.bookings} refused ones are"
    return [
        f"queue:   {view.waiting} wait, {view.running} run, {booked} booked to come back",
        f"decided: {view.admitted} got a slot, {view.refused} {were} refused{late}",
    ]


def _decider(view: QueueView) -> list[str]:
    """Who decides for several gateways; no line where this one is by itself."""
    by_whom = f"{view.decided_by} for all gateways (epoch {view.epoch})" if view.decided_by else "this gateway ALONE"
    if not view.decided_by and not view.reason:
        return []
    return [f"decides: {by_whom}" + (f": {view.reason}" if view.reason else "")]


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """The table, bounded."""
    more = len(rows) - MAX_ROWS
    return [table(head, rows[:MAX_ROWS]), *([f"... and {more} more: --json shows all"] if more > 0 else [])]


def _matters(team: TeamView) -> tuple[float | str, ...]:
    """Who waits most, then who runs most, then who had most."""
    return (-team.waiting, -team.backlog_slot_s, -team.running, -team.share, team.name)


def _team(team: TeamView) -> tuple[str, ...]:
    waited = team.predicted_ratio > 0
    return (
        _cut(team.name, NAME_CELLS),
        _cut(team.band, NAME_CELLS) or NOTHING,
        f"{team.weight:.3g}",
        str(team.waiting),
        str(team.running),
        short_time(team.backlog_slot_s),
        f"{team.share:.0%}",
        f"{team.due:.0%}",
        short_time(team.counter),
        short_time(team.predicted_wait_s),
        short_time(team.p90_wait_s),
        short_time(team.actual_wait_s) if waited else NOTHING,
        f"{team.coverage:.0%}" if waited else NOTHING,
    )


def _pool(pool: PoolView) -> tuple[str, ...]:
    served = pool.samples > 0
    return (
        _cut(f"{pool.model}+{pool.adapter}" if pool.adapter else pool.model, MODEL_CELLS),
        pool.kind,
        str(pool.waiting),
        f"{pool.running}/{pool.slots}",
        short_rate(pool.arrivals_per_s),
        short_time(pool.service_s) if served else NOTHING,
        _tokens(pool.prompt_tokens, pool.prefill_s_per_token) if served else NOTHING,
        _tokens(pool.output_tokens, pool.decode_s_per_token) if served else NOTHING,
        short_time(pool.promise_s) if pool.promise_s else NOTHING,
    )


def _target(target: TargetView) -> tuple[str, ...]:
    return (
        _cut(target.id, TARGET_CELLS),
        _cut(", ".join(target.models), MODEL_CELLS) or NOTHING,
        "ready" if target.ready else "AWAY",
        f"{target.running}/{target.slots}",
        f"{target.utilisation:.0%}",
        short_time(target.load_s) if target.load_s else NOTHING,
        _paces(target.decode_s) or NOTHING,
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """An order in which worker-2 comes before worker-10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", name)]


def _tokens(count: float, seconds: float) -> str:
    """How many, and what each of them takes of a slot's time."""
    return f"{count:.0f} x {seconds * 1000:.2g}ms" if seconds < 0.0995 else f"{count:.0f} x {short_time(seconds)}"


def _paces(decode_s: Iterable[tuple[int, float]]) -> str:
    """A token's time at one, two, four ... requests at once, and at the most there were."""
    rows = list(decode_s)
    shown = [row for row in rows if row[0] & (row[0] - 1) == 0 or row == rows[-1]]
    return ", ".join(f"{occupancy}: {seconds * 1000:.3g}ms" for occupancy, seconds in shown)


def _cut(name: str, cells: int) -> str:
    return name if len(name) <= cells else f"{name[: cells - 3]}..."
