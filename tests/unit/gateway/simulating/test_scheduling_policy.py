"""A queue under simulation is whatever answers these six questions."""

from collections.abc import Iterable

from gateway.simulating.arrivals import Arrival
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.scheduling_policy import Act, Asked, SchedulingPolicy, SimulatedPool, Start, TurnAway
from gateway.simulating.simulator import Simulation


class OnlyShort:
    """Serves prompts of up to 100 tokens, on worker 1."""

    tick_s: float | None = None

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        assert (pool.workers, pool.slots, pool.free_slots(), list(pool.answers(now_s))) == (2, 1, 2, [])

    def arrived(self, asked: Asked, now_s: float) -> Iterable[Act]:
        return [Start(asked, 1)] if asked.arrival.prompt_tokens <= 100 else [TurnAway(asked, may_retry=False)]

    def began(self, asked: Asked, now_s: float) -> Iterable[Act]:
        return []

    def ended(self, asked: Asked, now_s: float) -> Iterable[Act]:
        return []

    def left(self, asked: Asked, now_s: float) -> Iterable[Act]:
        return []

    def tick(self, now_s: float) -> Iterable[Act]:
        return []


def test_a_few_lines_are_a_policy() -> None:
    policy: SchedulingPolicy = OnlyShort()
    rows = [Arrival(at_s=n * 60.0, team="a", prompt_tokens=n, output_tokens=5) for n in (1, 100, 101)]
    outcomes = Simulation(policy, EngineModel(workers=2, slots=1)).run(rows)
    assert [one.end for one in outcomes] == ["served", "served", "refused"]
