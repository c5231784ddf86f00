"""What the models page shows: the catalogue as the viewer's teams may use it, and the processes and targets behind.

Rules: a viewer of some teams sees the models that one of them may use, and of workers those of these models; nothing of
others, not even that there are any. Suspects and adapters left out are told to who sees all teams.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from policies.admitting.queue_view import TargetView
from policies.call import ModelCard
from policies.console.viewer import Viewer
from policies.policy import Team

Json = dict[str, Any]


class ModelRow(Struct, frozen=True, kw_only=True):
    """One model. `teams` are those of the viewer's that may use it, `states` how each of its workers is.

    `targets` are the ready ones that serve it, of `away` ones the names with the reason where there is one.
    """

    card: ModelCard
    teams: tuple[str, ...]
    states: tuple[str, ...]
    targets: tuple[str, ...]
    away: tuple[tuple[str, str], ...]
    running: int
    slots: int


def model_rows(
    cards: Iterable[ModelCard],
    teams: Mapping[str, Team],
    viewer: Viewer,
    residences: Iterable[Json],
    targets: Iterable[TargetView],
    held: Mapping[str, str],
) -> tuple[ModelRow, ...]:
    """A row for each model that the viewer may see, by name."""
    workers, views = list(residences), list(targets)
    rows = []
    for card in sorted(cards, key=lambda each: each.name):
        users = tuple(name for name in sorted(teams) if viewer.may_see_team(name) and teams[name].may_use(card.name))
        if users or viewer.teams is None:
            rows.append(_row(card, users, workers, views, held))
    return tuple(rows)


def _row(
    card: ModelCard, users: tuple[str, ...], workers: list[Json], views: list[TargetView], held: Mapping[str, str]
) -> ModelRow:
    base = card.parent or card.name
    serving = [each for each in views if base in each.models]
    ready = [each for each in serving if each.ready]
    return ModelRow(
        card=card,
        teams=users,
        states=tuple(each["state"] for each in workers if each["model"] == base),
        targets=tuple(each.id for each in ready),
        away=tuple((each.id, held.get(each.id, "")) for each in serving if not each.ready),
        running=sum(each.running for each in ready),
        slots=sum(each.slots for each in ready),
    )


def worker_rows(residences: Iterable[Json], processes: Iterable[Json], shown: Iterable[ModelRow]) -> list[Json]:
    """The workers of the models in `shown`, each with what is known of its process and its deaths."""
    models = {row.card.parent or row.card.name for row in shown}
    notes = {each["process"]: each for each in processes}
    none: Json = {"state": "", "pid": 0, "deaths": {}, "cause": "", "since_s": 0.0}
    return [
        {"worker": each, "process": note, "died": sum(note["deaths"].values())}
        for each in residences
        if each["model"] in models
        for note in (notes.get(each["process"], none),)
    ]


def other_processes(residences: Iterable[Json], processes: Iterable[Json]) -> list[Json]:
    """Engine processes that are no worker of the plan, such as preparers."""
    workers = {each["process"] for each in residences}
    return [each | {"died": sum(each["deaths"].values())} for each in processes if each["process"] not in workers]
