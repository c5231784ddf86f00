"""The traffic: a light team's chats, a team that floods, and Microsoft's recorded hour. Seeded: the same each time."""

import csv
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random

from msgspec.structs import replace

from bench.admission.baselines import Fifo
from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import ClientRules
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.simulator import Simulation

TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"
PROMISE_S = 10.0
TOKEN_S = 0.15
Lengths = tuple[int, int]
Sampler = Callable[[Random], Lengths]


@cache
def recorded(name: str) -> tuple[tuple[float, Lengths], ...]:
    """Azure 2023 `conv` or `code`: seconds since the trace's first row, prompt and output tokens."""
    rows: list[tuple[float, Lengths]] = []
    with (TRACES / f"azure-2023-{name}.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            at = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
            rows.append((at, (int(row["ContextTokens"]), max(1, int(row["GeneratedTokens"])))))
    rows.sort()
    return tuple((at - rows[0][0], lengths) for at, lengths in rows)


@cache
def _lengths(name: str) -> tuple[Lengths, ...]:
    return tuple(lengths for _, lengths in recorded(name))


def light(chance: Random) -> Lengths:
    """A chat as recorded."""
    rows = _lengths("conv")
    return rows[chance.randrange(len(rows))]


def code(chance: Random) -> Lengths:
    """A code completion as recorded: long prompts, short answers."""
    rows = _lengths("code")
    return rows[chance.randrange(len(rows))]


def flood(chance: Random) -> Lengths:
    """Heavy tails: prompts lognormal (median 1200, s 1) with 5 % Pareto 1.5, outputs lognormal (median 150, s 1.2)."""
    if chance.random() > 0.05:
        prompt_tokens = int(chance.lognormvariate(7.0900768, 1.0))
    else:
        prompt_tokens = int(3000 * chance.paretovariate(1.5))
    output_tokens = min(4096, max(1, int(chance.lognormvariate(5.0106353, 1.2))))
    return max(8, min(16000, prompt_tokens)), output_tokens


@cache
def capacity_per_s(sampler: Sampler, model: EngineModel, seed: int = 5) -> float:
    """Requests a second that the pool ends when all its slots are always busy."""
    chance, until_s = Random(seed), 4000.0 * 4 / model.workers
    arrivals = []
    for number in range(6000):
        prompt_tokens, output_tokens = sampler(chance)
        arrivals.append(
            Arrival(at_s=0.0001 * number, team="x", prompt_tokens=prompt_tokens, output_tokens=output_tokens)
        )
    outcomes = Simulation(Fifo(), model, rules=ClientRules(patience_s=until_s)).run(arrivals)
    ended = [one for one in outcomes if one.end == "served" and until_s * 0.1 < one.ended_s <= until_s]
    return len(ended) / (until_s * 0.9)


def stream(
    team: str, sampler: Sampler, rate_per_s: float, *, cv: float, until_s: float, chance: Random
) -> list[Arrival]:
    """Renewal arrivals of one team with gamma gaps of this coefficient of variation, up to `until_s`."""
    shape = 1 / cv**2
    arrivals, at_s = [], 0.0
    while (at_s := at_s + chance.gammavariate(shape, 1 / (rate_per_s * shape))) <= until_s:
        prompt_tokens, output_tokens = sampler(chance)
        arrivals.append(
            Arrival(
                at_s=at_s,
                team=team,
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                promise_s=PROMISE_S,
            )
        )
    return arrivals


def light_and_flood(
    load: float, model: EngineModel, *, seed: int, until_s: float, light_load: float = 0.2
) -> list[Arrival]:
    """The light team asks for `light_load` of the capacity, evenly; the flood for the rest of `load`, in bursts."""
    light_per_s = light_load * capacity_per_s(light, model)
    flood_per_s = (load - light_load) * capacity_per_s(flood, model)
    arrivals = stream("light", light, light_per_s, cv=1.0, until_s=until_s, chance=Random(seed * 7 + 1))
    arrivals += stream("flood", flood, flood_per_s, cv=3.0, until_s=until_s, chance=Random(seed * 7 + 2))
    return sorted(arrivals, key=lambda arrival: arrival.at_s)


def backlogged(
    teams: dict[str, tuple[float, Sampler]], model: EngineModel, *, seed: int, until_s: float
) -> list[Arrival]:
    """Teams, by weight and lengths, that each ask for all of the pool, with no promise: always enough waits."""
    arrivals = [
        replace(arrival, promise_s=None, weight=weight)
        for number, (team, (weight, sampler)) in enumerate(teams.items())
        for arrival in stream(
            team, sampler, capacity_per_s(sampler, model), cv=1.0, until_s=until_s, chance=Random(seed * 7 + number)
        )
    ]
    return sorted(arrivals, key=lambda arrival: arrival.at_s)


def azure(load: float, model: EngineModel) -> list[Arrival]:
    """The first half of the rows of both recorded traces as two teams, stretched in time until they are `load`."""
    capacity = {"conv": capacity_per_s(light, model), "code": capacity_per_s(code, model)}
    rows = [(at_s, name, lengths) for name in capacity for at_s, lengths in recorded(name)[: len(recorded(name)) // 2]]
    stretch = sum(1 / capacity[name] for _, name, _ in rows) / max(rows)[0] / load
    return [
        Arrival(at_s=at_s * stretch, team=name, prompt_tokens=prompt, output_tokens=output, promise_s=PROMISE_S)
        for at_s, name, (prompt, output) in sorted(rows)
    ]
