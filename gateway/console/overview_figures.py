"""What the overview shows, from the queue, the last hour and what ends soon: rows as a viewer may see them.

Rules: who sees all teams is shown the whole (targets, slots, certificates, what is lacking); who sees some, the rows of
those teams and no sum that tells of another.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from gateway.console.page_filters import duration, number
from policies.admitting.queue_view import QueueView, TeamView
from policies.certificates.tls_expiry import FileEnd
from policies.console.hour_rows import last_minute
from policies.console.last_hour import OTHERS, HourView
from policies.console.viewer import Viewer
from policies.credentials.key_expiry import KeyEnd

MAX_TEAMS = 200
"""Rows of the table; the queue has those that had work a short while ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """Who knows what ends: keys within 30 days, the TLS files in force, how old each issuer's keys are (seconds)."""

    keys_ending: Callable[[], tuple[KeyEnd, ...]]
    files: Callable[[], tuple[FileEnd, ...]]
    key_sets: Callable[[], Mapping[str, float]]


class Ending(Struct, frozen=True, kw_only=True):
    """One thing that ends in `left_s` seconds; below zero it has ended. `kind` is the key of a word."""

    kind: str
    name: str
    team: str = ""
    left_s: float


class Figures(Struct, frozen=True, kw_only=True):
    """The few numbers at the top. `slots` None: they are not the viewer's to see."""

    running: int
    waiting: int
    slots: int | None
    longest_wait_s: float
    output_tokens_per_s: float
    refusals: int


def figures_of(viewer: Viewer, queue: QueueView, hour: HourView) -> Figures:
    """The viewer's numbers now, of the last minute, and of the hour (refusals)."""
    teams = teams_of(viewer, queue)
    whole = viewer.teams is None
    return Figures(
        running=queue.running if whole else sum(each.running for each in teams),
        waiting=queue.waiting if whole else sum(each.waiting for each in teams),
        slots=sum(each.slots for each in queue.targets if each.ready) if whole else None,
        longest_wait_s=max((each.predicted_wait_s for each in teams), default=0.0),
        output_tokens_per_s=last_minute(hour.output_tokens_per_s),
        refusals=sum(hour.refusals),
    )


def teams_of(viewer: Viewer, queue: QueueView) -> tuple[TeamView, ...]:
    """The viewer's teams in the queue, who waits most first."""
    seen = [each for each in queue.teams if viewer.may_see_team(each.name)]
    return tuple(sorted(seen, key=lambda each: (-each.waiting, -each.running, each.name))[:MAX_TEAMS])


def team_cells(team: TeamView) -> tuple[str, ...]:
    """A row of the table of teams, as text; what no wait has shown yet is a dash."""
    waited = team.predicted_ratio > 0
    return (
        team.name,
        team.band,
        number(team.waiting),
        number(team.running),
        f"{team.share:.0%}",
        f"{team.due:.0%}",
        duration(team.predicted_wait_s),
        duration(team.p90_wait_s),
        duration(team.actual_wait_s if waited else None),
        f"{team.coverage:.0%}" if waited else duration(None),
    )


def figure_texts(figures: Figures) -> dict[str, str]:
    """The numbers as text, by the names that the page's script knows them by."""
    of_slots = "" if figures.slots is None else f" / {number(figures.slots)}"
    return {
        "running": f"{number(figures.running)}{of_slots}",
        "waiting": number(figures.waiting),
        "longest_wait": duration(figures.longest_wait_s),
        "output_tokens": number(round(figures.output_tokens_per_s, 1)),
        "refusals": number(figures.refusals),
    }


def refusal_rows(hour: HourView) -> list[tuple[str, int]]:
    """Reasons and how often, the most frequent first; OTHERS stands for reasons beyond the bound."""
    return [(reason if reason != OTHERS else "...", count) for reason, count in hour.refused.items()]


def endings_of(viewer: Viewer, ends: Endings, now_s: float) -> list[Ending]:
    """The keys and TLS files that end, the soonest first."""
    own = (each for each in ends.keys_ending() if viewer.may_see_team(each.team))
    found = [Ending(kind="key", name=each.key_id, team=each.team, left_s=each.left_s) for each in own]
    if viewer.teams is None:
        found += [Ending(kind=each.file, name=each.file, left_s=each.ends_s - now_s) for each in ends.files()]
    return sorted(found, key=lambda each: (each.left_s, each.name))


def key_set_rows(viewer: Viewer, ends: Endings) -> list[tuple[str, float]]:
    """Each issuer and how old its keys are in seconds, infinity without any; nothing for who sees some teams only."""
    return sorted(ends.key_sets().items()) if viewer.teams is None else []


def live_document(viewer: Viewer, queue: QueueView, hour: HourView, now_s: float) -> dict[str, Any]:
    """What the page's script draws: the hour's columns, the numbers, and the table of teams."""
    return {
        "now_s": now_s,
        "hour": hour,
        "figures": figure_texts(figures_of(viewer, queue, hour)),
        "teams": rows_of(teams_of(viewer, queue)),
    }


def rows_of(teams: Iterable[TeamView]) -> list[tuple[str, ...]]:
    """The table of teams."""
    return [team_cells(each) for each in teams]
