"""What a simulation shows: goodput, waits, waste, shares and refusals, each with its definition.

Goodput is the share of *offered* callers whose promise was kept, so that refusing and abandoning never improve it. A
try keeps its promise when it is served, its first token came within the promise, and its answer then ran at the pace
asked for; a caller who was told a time and came back then is judged by the try that it made then. Useful work is that
of kept tries, wasted work all other work begun, both in worker-seconds of a full worker (`EngineModel.work_s`). Late
refusals came after waiting. Shares are of the work done.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateway.simulating.engine_model import EngineModel
from gateway.simulating.outcome import Outcome


class Window(Struct, frozen=True):
    """Only callers who first asked strictly between these moments count: the pool is neither filling nor drying up."""

    from_s: float
    to_s: float


class Terms(Struct, frozen=True, kw_only=True):
    """What counts as kept. `first_token_s` stands in for the promise of a request without one; None: any wait will do.

    `token_s` bounds the mean seconds between output tokens, None: any pace will do.
    """

    first_token_s: float | None = None
    token_s: float | None = None


class TeamFigures(Struct, frozen=True, kw_only=True):
    """One team: callers, how many were kept, and of tries: served, refused, refused late, left.

    `work` and `useful_work` are worker-seconds; waits are of those who got a slot, None when nobody did.
    """

    callers: int
    kept: int
    served: int
    refused: int
    refused_late: int
    left: int
    work: float
    useful_work: float
    p50_wait_s: float | None
    p99_wait_s: float | None

    @property
    def goodput(self) -> float:
        """Kept of all offered, 0 to 1."""
        return self.kept / self.callers if self.callers else 0.0


class Figures(Struct, frozen=True, kw_only=True):
    """All teams together. `useful_per_worker` is useful worker-seconds a second and worker; shares lie in 0 to 1.

    `first_try` is the share served of the callers' first tries at a moment that was told to them, `booked_tries` how
    many there were; `told` of all refusals the share that was told a moment. `jain` is over the teams' satisfied share
    of what max-min fairness gives them.
    """

    teams: dict[str, TeamFigures]
    goodput: float
    p99_wait_s: float | None
    useful_per_worker: float
    waste: float
    refusals: int
    rejected: float
    late: float
    told: float
    booked_tries: int
    first_try: float | None
    jain: float


def figures(outcomes: Sequence[Outcome], model: EngineModel, terms: Terms, window: Window) -> Figures:
    """The figures of one run."""
    first_asked: dict[int, float] = {}
    for outcome in outcomes:
        first_asked[outcome.number] = min(outcome.asked_s, first_asked.get(outcome.number, outcome.asked_s))
    counted = [one for one in outcomes if window.from_s < first_asked[one.number] < window.to_s]
    names = sorted({one.arrival.team for one in counted})
    teams = {name: _team([one for one in counted if one.arrival.team == name], model, terms) for name in names}
    span_s = window.to_s - window.from_s
    work, useful = sum(team.work for team in teams.values()), sum(team.useful_work for team in teams.values())
    callers = sum(team.callers for team in teams.values())
    refused = [one for one in counted if one.end in ("refused", "refused_late")]
    booked = [one for one in counted if one.booked and one.attempt == 1]
    return Figures(
        teams=teams,
        goodput=sum(team.kept for team in teams.values()) / max(callers, 1),
        p99_wait_s=percentile(waits_s(counted), 0.99),
        useful_per_worker=useful / span_s / model.workers,
        waste=1 - useful / work if work else 0.0,
        refusals=len(refused),
        rejected=len([one for one in refused if one.final]) / max(callers, 1),
        late=_share(one.end == "refused_late" for one in refused) or 0.0,
        told=_share(one.retry_after_s is not None for one in refused) or 0.0,
        booked_tries=len(booked),
        first_try=_share(one.end == "served" for one in booked),
        jain=_jain(counted, teams, model, span_s),
    )


def kept(outcome: Outcome, terms: Terms) -> bool:
    """Whether this try kept its promise."""
    if outcome.end != "served" or outcome.first_s is None:
        return False
    promise_s = outcome.arrival.promise_s if outcome.arrival.promise_s is not None else terms.first_token_s
    if promise_s is not None and outcome.first_s - outcome.asked_s > promise_s:
        return False
    pace_s = (outcome.ended_s - outcome.first_s) / max(outcome.output_tokens, 1.0)
    return terms.token_s is None or pace_s <= terms.token_s


def waits_s(outcomes: Iterable[Outcome]) -> list[float]:
    """Seconds from asking to a slot, of those who got one, shortest first."""
    return sorted(one.started_s - one.asked_s for one in outcomes if one.started_s is not None)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which `share` of them lie; None of none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def work_of(outcome: Outcome, model: EngineModel) -> float:
    """Worker-seconds really spent on it."""
    return model.work_s(outcome.prompt_tokens, outcome.output_tokens)


def _team(outcomes: list[Outcome], model: EngineModel, terms: Terms) -> TeamFigures:
    waits = waits_s(outcomes)
    return TeamFigures(
        callers=len({one.number for one in outcomes}),
        kept=sum(kept(one, terms) for one in outcomes),
        served=sum(one.end == "served" for one in outcomes),
        refused=sum(one.end == "refused" for one in outcomes),
        refused_late=sum(one.end == "refused_late" for one in outcomes),
        left=sum(one.end == "left" for one in outcomes),
        work=sum(work_of(one, model) for one in outcomes),
        useful_work=sum(work_of(one, model) for one in outcomes if kept(one, terms)),
        p50_wait_s=percentile(waits, 0.5),
        p99_wait_s=percentile(waits, 0.99),
    )


def _share(hits: Iterable[bool]) -> float | None:
    marks = list(hits)
    return sum(marks) / len(marks) if marks else None


def _jain(outcomes: list[Outcome], teams: dict[str, TeamFigures], model: EngineModel, span_s: float) -> float:
    """Jain, Chiu, Hawe (DEC TR-301, 1984), equation 1, over useful work / max-min fair due of each team."""
    demand = dict.fromkeys(teams, 0.0)
    weights = dict.fromkeys(teams, 1.0)
    for one in outcomes:
        weights[one.arrival.team] = one.arrival.weight
        if one.attempt == 0:
            uncached = max(one.arrival.prompt_tokens - one.arrival.cached_tokens, 0)
            demand[one.arrival.team] += model.work_s(uncached, min(one.arrival.output_tokens, one.arrival.output_cap))
    due = max_min_shares(demand, weights, model.workers * span_s)
    satisfied = [min(team.useful_work / due[name], 1.0) for name, team in teams.items() if due[name] > 0]
    squares = sum(value * value for value in satisfied)
    return sum(satisfied) ** 2 / (len(satisfied) * squares) if squares else 0.0


def max_min_shares(demand: dict[str, float], weights: dict[str, float], capacity: float) -> dict[str, float]:
    """Weighted max-min fair shares of `capacity`: nobody gets more than asked, the rest is split by weight."""
    shares: dict[str, float] = {}
    left = set(demand)
    while left:
        level = capacity / sum(weights[name] for name in left)
        sated = {name for name in left if demand[name] <= level * weights[name]}
        if not sated:
            return shares | {name: level * weights[name] for name in left}
        shares |= {name: demand[name] for name in sated}
        capacity -= sum(demand[name] for name in sated)
        left -= sated
    return shares
