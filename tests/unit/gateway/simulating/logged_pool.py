"""Requests as a log would hold them, made by a pool of known speed; and the lines of such a log."""

import random
from collections.abc import Iterator, Sequence

from gateway.simulating.arrivals import Arrival
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.logged_traffic import LoggedRequest
from gateway.simulating.scheduling_policy import Act, Asked, SimulatedPool, Start
from gateway.simulating.simulator import Simulation


class FirstComeFirstServed:
    """Gives each free slot to whoever waits longest, and notes on which worker each ran."""

    tick_s = None

    def __init__(self) -> None:
        self.worker_of: dict[int, int] = {}
        self._waiting: list[Asked] = []

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        self._free = [number for number in range(pool.workers) for _ in range(pool.slots)]

    def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
        self._waiting.append(asked)
        return self._starts()

    def began(self, asked: Asked, now_s: float) -> Sequence[Act]:
        return ()

    def ended(self, asked: Asked, now_s: float) -> Iterator[Act]:
        self._free.append(self.worker_of[asked.number])
        return self._starts()

    def left(self, asked: Asked, now_s: float) -> Iterator[Act]:
        if asked in self._waiting:
            self._waiting.remove(asked)
            return iter(())
        return self.ended(asked, now_s)

    def tick(self, now_s: float) -> Sequence[Act]:
        return ()

    def _starts(self) -> Iterator[Act]:
        while self._waiting and self._free:
            asked = self._waiting.pop(0)
            worker = min(self._free, key=lambda number: -self._free.count(number))
            self._free.remove(worker)
            self.worker_of[asked.number] = worker
            yield Start(asked, worker)


def logged_by(model: EngineModel, *, per_s: float, count: int, seed: int = 3) -> list[LoggedRequest]:
    """`count` served requests that came at random, with the times a log holds."""
    chance, at_s, arrivals = random.Random(seed), 0.0, []
    for number in range(count):
        at_s += chance.expovariate(per_s)
        prompt_tokens, output_tokens = chance.lognormvariate(6.5, 1), chance.lognormvariate(4.5, 0.8)
        team = ("light", "flood")[number % 2]
        arrivals.append(
            Arrival(
                at_s=at_s, team=team, prompt_tokens=round(prompt_tokens) + 1, output_tokens=round(output_tokens) + 1
            )
        )
    queue = FirstComeFirstServed()
    outcomes = Simulation(queue, model).run(arrivals)
    return [
        LoggedRequest(
            at_s=one.asked_s,
            team=one.arrival.team,
            model="m",
            prompt_tokens=one.arrival.prompt_tokens,
            output_tokens=one.arrival.output_tokens,
            queued_s=one.started_s - one.asked_s,
            first_s=one.first_s - one.asked_s,
            took_s=one.ended_s - one.asked_s,
            target=f"worker-{queue.worker_of[one.number]}",
        )
        for one in outcomes
        if one.started_s is not None and one.first_s is not None
    ]
