"""Weighted shares while every team has work waiting: what each got, and how far their counters ever were apart."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from bench.admission.workload import Sampler, backlogged
from gateway.simulating.corral_queue import CorralQueue
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.outcome import Outcome
from gateway.simulating.simulator import Simulation
from policies.admitting.ticket import Bounds

BOUNDS = Bounds(total=1000, team=40)
"""Short lines that are always full: the arrivals are twice what the pool can do."""
WARM_UP_S = 120.0


class Shares(Struct, frozen=True, kw_only=True):
    """`slot_time` and `work` are each team's part of both, 0 to 1; the queue shares slots' time, not tokens.

    `due` is what its weight gives a team. `counter_gap` is the widest that the counters of two teams with work were
    apart, `largest_request` the dearest request that ran, `largest_charge` the most that one team had running at
    once, all in slot-seconds over weight.
    """

    due: dict[str, float]
    work: dict[str, float]
    slot_time: dict[str, float]
    counter_gap: float
    largest_charge: float
    largest_request: float


def shares(
    teams: dict[str, tuple[float, Sampler]], model: EngineModel, *, seed: int = 1, minutes: float = 90.0
) -> Shares:
    """Play `teams` (weight and what they ask for), each of them wanting the whole pool."""
    policy, until_s = CorralQueue(bounds=BOUNDS), minutes * 60
    gaps = [0.0]

    def watch(now_s: float) -> None:
        if WARM_UP_S < now_s < until_s:
            counters = [team.counter for team in policy.queue.view(now_s).teams if team.waiting]
            gaps.append(max(counters, default=0.0) - min(counters, default=0.0))

    arrivals = backlogged(teams, model, seed=seed, until_s=until_s)
    outcomes = [one for one in Simulation(policy, model).run(arrivals, watch=watch) if one.started_s is not None]
    pool = policy.queue.view(until_s).pools[0]
    weights = {name: weight for name, (weight, _) in teams.items()}

    def charge(one: Outcome) -> float:
        cost_s = pool.prefill_s_per_token * one.prompt_tokens + pool.decode_s_per_token * one.output_tokens
        return cost_s / weights[one.arrival.team]

    inside = {one.number: _overlap(one, WARM_UP_S, until_s) for one in outcomes}
    return Shares(
        due={name: weight / sum(weights.values()) for name, weight in weights.items()},
        work=_parts(
            outcomes, weights, lambda one: inside[one.number] * model.work_s(one.prompt_tokens, one.output_tokens)
        ),
        slot_time=_parts(outcomes, weights, lambda one: inside[one.number] * (one.ended_s - (one.started_s or 0.0))),
        counter_gap=max(gaps),
        largest_charge=max(
            _most_at_once([one for one in outcomes if one.arrival.team == name], charge) for name in teams
        ),
        largest_request=max(map(charge, outcomes)),
    )


def _overlap(one: Outcome, from_s: float, to_s: float) -> float:
    """The part of its time in the slot that lies between the two."""
    started_s = one.started_s if one.started_s is not None else one.ended_s
    inside_s = min(one.ended_s, to_s) - max(started_s, from_s)
    return max(inside_s, 0.0) / max(one.ended_s - started_s, 1e-9)


def _parts(outcomes: Iterable[Outcome], teams: Iterable[str], amount: Callable[[Outcome], float]) -> dict[str, float]:
    sums = dict.fromkeys(teams, 0.0)
    for one in outcomes:
        sums[one.arrival.team] += amount(one)
    return {name: part / sum(sums.values()) for name, part in sums.items()}


def _most_at_once(outcomes: Sequence[Outcome], amount: Callable[[Outcome], float]) -> float:
    moves = [(one.started_s or 0.0, amount(one)) for one in outcomes] + [
        (one.ended_s, -amount(one)) for one in outcomes
    ]
    most = running = 0.0
    for _, move in sorted(moves):
        running += move
        most = max(most, running)
    return most
