"""The simulation: arrivals, workers, impatient callers and a policy, one event after another.

The policy decides who waits, starts and is turned away; the pool of fluid workers decides how long that takes; the
callers wait, leave, and come back by `client_rules`. The same arrivals, policy and seed give the same outcomes.
Events of one moment happen in the order in which they were planned.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from random import Random

from msgspec import Struct

from gateway.simulating.arrivals import Arrival
from gateway.simulating.client_rules import ClientRules, retry_delay_s
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.fluid_worker import FluidWorker, Job
from gateway.simulating.outcome import End, Outcome
from gateway.simulating.scheduling_policy import Act, Asked, SchedulingPolicy, Start, TurnAway
from policies.admitting.effects import Forecast


class Slowing(Struct, frozen=True):
    """From `at_s` on every worker takes `factor` times as long as the model says."""

    at_s: float
    factor: float


class _Open:
    """One try that is neither served nor turned away."""

    __slots__ = ("asked", "first_s", "forecast", "job", "started_s", "worker")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.job: Job | None = None
        self.worker = -1
        self.started_s: float | None = None
        self.first_s: float | None = None
        self.forecast: Forecast | None = None


class Simulation:
    """One run. `chance` is what retrying clients draw their back-off from."""

    def __init__(
        self,
        policy: SchedulingPolicy,
        model: EngineModel,
        *,
        rules: ClientRules | None = None,
        slowings: Iterable[Slowing] = (),
        chance: Random | None = None,
    ) -> None:
        self.workers, self.slots = model.workers, model.slots
        self._policy, self._model, self._rules = policy, model, rules or ClientRules()
        self._slowings, self._chance = tuple(slowings), chance
        self._pool = [FluidWorker(model) for _ in range(model.workers)]
        self._planned: list[tuple[float, int, Callable[[float], None]]] = []
        self._plans = self._tries = self._running = 0
        self._versions = [0] * model.workers
        self._open: dict[int, _Open] = {}
        self._ticking = False
        self._outcomes: list[Outcome] = []

    def free_slots(self) -> int:
        """Of all workers."""
        return self.workers * self.slots - self._running

    def answers(self, now_s: float) -> Iterator[tuple[int, int]]:
        """Tries that have begun to answer, and their output tokens by now."""
        for worker in self._pool:
            yield from worker.answers(now_s)

    def run(self, arrivals: Iterable[Arrival], *, watch: Callable[[float], None] | None = None) -> tuple[Outcome, ...]:
        """Play `arrivals` (in order of time) until everyone is served or gone. `watch` is called after each event."""
        self._policy.opened(self, 0.0)
        for slowing in self._slowings:
            self._plan(slowing.at_s, lambda now_s, factor=slowing.factor: self._slow(factor, now_s))  # type: ignore[misc]
        self._plan_next(enumerate(arrivals))
        while self._planned:
            now_s, _, happen = heappop(self._planned)
            happen(now_s)
            if watch is not None:
                watch(now_s)
        return tuple(self._outcomes)

    def _plan(self, at_s: float, happen: Callable[[float], None]) -> None:
        self._plans += 1
        heappush(self._planned, (at_s, self._plans, happen))

    def _plan_next(self, arrivals: Iterator[tuple[int, Arrival]]) -> None:
        number, arrival = next(arrivals, (-1, None))
        if arrival is not None:
            self._plan(arrival.at_s, lambda now_s: self._arrive(number, arrival, arrivals, now_s))

    def _arrive(self, number: int, arrival: Arrival, others: Iterator[tuple[int, Arrival]], now_s: float) -> None:
        self._plan_next(others)
        self._ask(Asked(id=self._next_id(), number=number, at_s=now_s, arrival=arrival), now_s)

    def _next_id(self) -> int:
        self._tries += 1
        return self._tries

    def _ask(self, asked: Asked, now_s: float) -> None:
        self._open[asked.id] = _Open(asked)
        self._carry_out(self._policy.arrived(asked, now_s), now_s)
        state = self._open.get(asked.id)
        if state is not None and state.first_s is None:
            self._plan(now_s + self._rules.patience_s, lambda now_s: self._lose_patience(asked.id, now_s))
            self._start_ticking(now_s)

    def _start_ticking(self, now_s: float) -> None:
        if not self._ticking and self._policy.tick_s is not None and len(self._open) > self._running:
            self._ticking = True
            self._plan(now_s + self._policy.tick_s, self._tick)

    def _tick(self, now_s: float) -> None:
        self._ticking = False
        self._carry_out(self._policy.tick(now_s), now_s)
        self._start_ticking(now_s)

    def _carry_out(self, acts: Iterable[Act], now_s: float) -> None:
        for act in acts:
            state = self._open[act.asked.id]
            if isinstance(act, Start):
                self._start(state, act.worker, now_s)
            elif isinstance(act, TurnAway):
                self._turn_away(state, act, now_s)
            else:
                state.forecast = act.forecast

    def _start(self, state: _Open, worker: int | None, now_s: float) -> None:
        asked, arrival = state.asked, state.asked.arrival
        state.worker = self._emptiest() if worker is None else worker
        state.started_s = now_s
        uncached = max(arrival.prompt_tokens - arrival.cached_tokens, 0)
        state.job = Job(asked.id, uncached, min(arrival.output_tokens, arrival.output_cap))
        self._running += 1
        self._pool[state.worker].add(state.job, now_s)
        if uncached == 0:
            self._work(state.worker, now_s)
        else:
            self._reschedule(state.worker)

    def _emptiest(self) -> int:
        return min(range(self.workers), key=lambda number: len(self._pool[number].jobs))

    def _reschedule(self, number: int) -> None:
        self._versions[number] = version = self._versions[number] + 1
        if self._pool[number].jobs:
            self._plan(self._pool[number].next_s(), lambda now_s: self._worker_event(number, version, now_s))

    def _worker_event(self, number: int, version: int, now_s: float) -> None:
        if version == self._versions[number]:
            self._work(number, now_s)

    def _work(self, number: int, now_s: float) -> None:
        began, done = self._pool[number].step(now_s)
        self._running -= len(done)
        self._reschedule(number)
        for job in began:
            state = self._open[job.id]
            state.first_s = now_s
            self._carry_out(self._policy.began(state.asked, now_s), now_s)
        for job in done:
            state = self._open[job.id]
            self._close(state, "served", now_s)
            self._carry_out(self._policy.ended(state.asked, now_s), now_s)

    def _slow(self, factor: float, now_s: float) -> None:
        slower = self._model.slowed(factor)
        for number, worker in enumerate(self._pool):
            worker.change(slower, now_s)
            self._reschedule(number)

    def _lose_patience(self, request_id: int, now_s: float) -> None:
        state = self._open.get(request_id)
        if state is None or state.first_s is not None:
            return
        if state.job is not None:
            self._pool[state.worker].remove(state.job, now_s)
            self._running -= 1
            self._reschedule(state.worker)
        self._close(state, "left", now_s, back_s=self._back_s(state.asked, None, may_retry=True))
        self._carry_out(self._policy.left(state.asked, now_s), now_s)

    def _turn_away(self, state: _Open, act: TurnAway, now_s: float) -> None:
        state.forecast = state.forecast or act.forecast
        end: End = "refused" if now_s <= state.asked.at_s else "refused_late"
        back_s = self._back_s(state.asked, act.retry_after_s, may_retry=act.may_retry)
        self._close(state, end, now_s, back_s=back_s, told_s=act.retry_after_s)

    def _back_s(self, asked: Asked, told_s: float | None, *, may_retry: bool) -> float | None:
        if self._chance is None:
            return None
        return retry_delay_s(self._rules, asked.attempt, told_s, may_retry=may_retry, chance=self._chance)

    def _close(
        self, state: _Open, end: End, now_s: float, *, back_s: float | None = None, told_s: float | None = None
    ) -> None:
        asked, job = self._open.pop(state.asked.id).asked, state.job
        self._outcomes.append(
            Outcome(
                number=asked.number,
                arrival=asked.arrival,
                asked_s=asked.at_s,
                attempt=asked.attempt,
                booked=asked.booked,
                end=end,
                ended_s=now_s,
                final=back_s is None,
                started_s=state.started_s,
                first_s=state.first_s,
                forecast=state.forecast,
                retry_after_s=told_s,
                prompt_tokens=job.prompt_tokens - job.prompt_left if job else 0.0,
                output_tokens=job.output_tokens - job.output_left if job else 0.0,
            )
        )
        if back_s is not None:
            self._plan(now_s + back_s, lambda now_s: self._ask_again(asked, told_s == back_s, now_s))

    def _ask_again(self, asked: Asked, booked: bool, now_s: float) -> None:
        again = Asked(
            id=self._next_id(),
            number=asked.number,
            at_s=now_s,
            arrival=asked.arrival,
            attempt=asked.attempt + 1,
            booked=booked,
        )
        self._ask(again, now_s)
