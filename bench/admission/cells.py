"""One cell of the comparison: a scenario, a policy, a load; played once for each seed."""

from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

from bench.admission.baselines import BASELINES
from bench.admission.workload import PROMISE_S, TOKEN_S, azure, light_and_flood
from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import SDK_RULES, ClientRules
from gateway.simulating.corral_queue import CorralQueue
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.figures import Figures, Terms, Window, figures
from gateway.simulating.outcome import Outcome
from gateway.simulating.prediction_figures import Prediction, predictions
from gateway.simulating.scheduling_policy import SchedulingPolicy
from gateway.simulating.simulator import Simulation, Slowing

POOL = EngineModel(workers=4, slots=4)
SMALL_POOL = EngineModel(workers=2, slots=2)
TERMS = Terms(first_token_s=PROMISE_S, token_s=TOKEN_S)
CORRAL, UNTOLD = "Corral", "Corral, no time told"
POLICIES: dict[str, Callable[[], SchedulingPolicy]] = {
    **BASELINES,
    UNTOLD: lambda: CorralQueue(books=False),
    CORRAL: CorralQueue,
    "Corral, prompts taken for half": lambda: CorralQueue(prompt_error=0.5),
    "Corral, prompts taken for double": lambda: CorralQueue(prompt_error=2.0),
}
TWO_TEAMS, AZURE, SMALL, RETRIES, SLOWED = "two teams", "Azure 2023", "2x2 slots", "retrying clients", "slowed 1.6x"
LOADS, CROWDED = (0.5, 0.8, 0.95, 1.2, 2.0), (0.8, 1.2, 2.0)
LONGEST_WARM_UP_S = 600.0


class Cell(Struct, frozen=True, kw_only=True):
    """What is played: `minutes` of traffic for each of `seeds` (a recorded trace has one and its own length)."""

    scenario: str
    policy: str
    load: float
    seeds: tuple[int, ...] = (1, 2, 3)
    minutes: float = 120.0


class Played(Struct, frozen=True, kw_only=True):
    """A cell's figures for each seed, and how its predictions fared over all of them."""

    cell: Cell
    runs: tuple[Figures, ...]
    predictions: dict[str, Prediction]


def play(cell: Cell) -> Played:
    """Simulate it."""
    runs, counted = [], []
    for seed in cell.seeds:
        arrivals = _arrivals(cell, seed)
        window = Window(min(LONGEST_WARM_UP_S, arrivals[-1].at_s / 5), arrivals[-1].at_s - 60)
        outcomes = _simulate(cell, arrivals, seed)
        runs.append(figures(outcomes, _pool(cell), TERMS, window))
        counted += [one for one in outcomes if window.from_s < one.asked_s < window.to_s]
    return Played(cell=cell, runs=tuple(runs), predictions=predictions(counted))


def _pool(cell: Cell) -> EngineModel:
    return SMALL_POOL if cell.scenario == SMALL else POOL


def _arrivals(cell: Cell, seed: int) -> Sequence[Arrival]:
    if cell.scenario == AZURE:
        return azure(cell.load, POOL)
    return light_and_flood(cell.load, _pool(cell), seed=seed, until_s=cell.minutes * 60)


def _simulate(cell: Cell, arrivals: Sequence[Arrival], seed: int) -> tuple[Outcome, ...]:
    simulation = Simulation(
        POLICIES[cell.policy](),
        _pool(cell),
        rules=SDK_RULES if cell.scenario == RETRIES else ClientRules(),
        slowings=[Slowing(arrivals[-1].at_s / 2, 1.6)] if cell.scenario == SLOWED else [],
        chance=Random(seed),
    )
    return simulation.run(arrivals)
