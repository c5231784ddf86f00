"""Plays one trace under one policy or more, on the same pool, with the same chance."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import Struct

from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import ClientRules
from gateway.simulating.corral_queue import CorralQueue
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import Figures, Terms, Window, figures
from gateway.simulating.outcome import Outcome
from gateway.simulating.over_time import TeamCourse, courses
from gateway.simulating.queue_on_terms import QueueOnTerms
from gateway.simulating.simulator import Simulation
from gateway.simulating.team_terms import under_policy
from policies.admitting.bands import band_terms
from policies.policy import Policy

SLICES = 60
"""Points of a plot: a terminal is 80 wide."""
ANY_WAIT = Terms()
"""A team without a promise is kept its promise by any answer: `max_wait_s` is the queue's to enforce."""

Watch = Callable[[float], None]


class Side(Struct, frozen=True):
    """One policy to play under. `name` is for people."""

    name: str
    policy: Policy


class Played(Struct, frozen=True):
    """What became of the trace under one side: figures, the teams' courses, and their promises (None: none).

    `within` is the share of a team's callers whose first token came within the yardstick, which is one for all sides.
    """

    name: str
    figures: Figures
    courses: dict[str, TeamCourse]
    promises_s: dict[str, float | None]
    within: dict[str, float]


class Chance(Struct, frozen=True):
    """How often a refused caller comes back, and what all chance begins from."""

    seed: int
    retries: int = 0


def play(
    side: Side,
    arrivals: list[Arrival],
    model: EngineModel,
    chance: Chance,
    *,
    yardsticks_s: Mapping[str, float],
    watch: Watch,
) -> Played:
    """Play `arrivals` (in order of time, at least one) under `side`; `watch` hears its time. Raises UnknownTerms."""
    asked = under_policy(arrivals, side.policy, side.name)
    queue = CorralQueue(QueueOnTerms(side.policy), bands=band_terms(side.policy))
    rules = ClientRules(retries=chance.retries)
    run = Simulation(queue, model, rules=rules, chance=Random(chance.seed))  # noqa: S311 (a simulation's chance)
    outcomes = run.run(asked, watch=watch)
    span_s = asked[-1].at_s
    end_s = max(one.ended_s for one in outcomes)
    teams = sorted({each.team for each in asked})
    return Played(
        name=side.name,
        figures=figures(outcomes, model, ANY_WAIT, Window(-1e-9, end_s + 1e-9)),
        courses=courses(outcomes, model, ANY_WAIT, span_s=span_s, slices=SLICES),
        promises_s={team: side.policy.teams[team].first_token_s for team in teams},
        within={team: _within(outcomes, team, yardsticks_s[team]) for team in teams if team in yardsticks_s},
    )


def yardsticks_s(policy: Policy) -> dict[str, float]:
    """The promises of a policy by team, to measure other policies by; a team without one is left out."""
    return {name: team.first_token_s for name, team in policy.teams.items() if team.first_token_s is not None}


def _within(outcomes: Sequence[Outcome], team: str, yardstick_s: float) -> float:
    own = [one for one in outcomes if one.arrival.team == team]
    in_time = sum(one.first_s is not None and one.first_s - one.asked_s <= yardstick_s for one in own)
    return in_time / len({one.number for one in own})
