"""A run in slices of equal length: of each team the promises kept, the mean wait, and its share of the work."""

from collections.abc import Sequence

from msgspec import Struct

from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import Terms, kept, work_of
from gateway.simulating.outcome import Outcome

Points = list[float | None]


class TeamCourse(Struct, frozen=True):
    """One team, a point a slice, None where there was nothing to measure: kept and share 0 to 1, waits in seconds.

    A slice holds the callers who first asked in it. Waits are of those who got a slot.
    """

    kept: Points
    wait_s: Points
    share: Points


class _Slice:
    """Sums of one team in one slice."""

    __slots__ = ("callers", "kept", "started", "waited_s", "work")

    def __init__(self) -> None:
        self.callers = self.kept = self.started = 0
        self.waited_s = self.work = 0.0


def courses(
    outcomes: Sequence[Outcome], model: EngineModel, terms: Terms, *, span_s: float, slices: int
) -> dict[str, TeamCourse]:
    """The teams by name; `span_s` is from the first caller to the last."""
    sums: dict[str, list[_Slice]] = {}
    for one in outcomes:
        team = sums.setdefault(one.arrival.team, [_Slice() for _ in range(slices)])
        _add(team[_number(one, span_s, slices)], one, model, terms)
    whole = [sum(team[number].work for team in sums.values()) for number in range(slices)]
    return {name: _course(sums[name], whole) for name in sorted(sums)}


def _number(one: Outcome, span_s: float, slices: int) -> int:
    return min(int(one.arrival.at_s / span_s * slices), slices - 1) if span_s > 0 else 0


def _add(part: _Slice, one: Outcome, model: EngineModel, terms: Terms) -> None:
    part.callers += one.attempt == 0
    part.kept += kept(one, terms)
    part.work += work_of(one, model)
    if one.started_s is not None:
        part.started += 1
        part.waited_s += one.started_s - one.asked_s


def _course(parts: list[_Slice], whole: list[float]) -> TeamCourse:
    return TeamCourse(
        kept=[_over(part.kept, part.callers) for part in parts],
        wait_s=[_over(part.waited_s, part.started) for part in parts],
        share=[_over(part.work, work) if part.callers else None for part, work in zip(parts, whole, strict=True)],
    )


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None
