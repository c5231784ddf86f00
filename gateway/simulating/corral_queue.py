"""Corral's own queue under simulation: the `policies.admission.Queue` that serves, told what a dispatcher tells it.

Each worker is one target. How far every answer has grown is told before each arrival, as the dispatcher does at the
latest then. A request's cached tokens are taken as known before it is priced, so its ticket counts only the others.
"""

from collections.abc import Iterable, Iterator

from gateway.simulating.scheduling_policy import Act, Asked, Keep, SimulatedPool, Start, TurnAway
from policies.admission import Queue
from policies.admitting.effects import Dispatch, Effect, Refuse
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    QueueEvent,
    TargetReady,
    Tick,
)
from policies.admitting.ticket import BandTerms, Bounds, PoolKey, Served, TargetFacts, Ticket

TICK_S = 0.25
"""How often the dispatcher ticks its queue."""
UNBOUNDED = Bounds(total=1_000_000, team=1_000_000)


class CorralQueue:
    """Drives `queue`.

    `pools` is what every worker serves. `prompt_error` multiplies the prompt tokens that tickets state, as an
    upstream's estimate from bytes may be off, while what is served is counted rightly. With `books` False no caller
    is known again, so none is told a time.
    """

    tick_s: float | None = TICK_S
    _pool: SimulatedPool

    def __init__(
        self,
        queue: Queue | None = None,
        *,
        pools: tuple[PoolKey, ...] = (("m", "", "chat"),),
        bands: tuple[BandTerms, ...] = (),
        bounds: Bounds = UNBOUNDED,
        prompt_error: float = 1.0,
        books: bool = True,
    ) -> None:
        self.queue = queue or Queue()
        self._books = books
        self._pools, self._bands, self._bounds, self._prompt_error = pools, bands, bounds, prompt_error
        self._asked: dict[int, Asked] = {}

    def opened(self, pool: SimulatedPool, now_s: float) -> None:
        self._pool = pool
        if self._bands:
            self.queue.handle(BandsChanged(bands=self._bands), now_s)
        for worker in range(pool.workers):
            facts = TargetFacts(id=str(worker), pools=self._pools, slots=pool.slots)
            self.queue.handle(TargetReady(facts=facts), now_s)

    def arrived(self, asked: Asked, now_s: float) -> Iterator[Act]:
        for request_id, output_tokens in self._pool.answers(now_s):
            yield from self._tell(Grew(id=request_id, output_tokens=output_tokens), now_s)
        self._asked[asked.id] = asked
        yield from self._tell(Arrived(ticket=self._ticket(asked), bounds=self._bounds), now_s)

    def began(self, asked: Asked, now_s: float) -> Iterator[Act]:
        return self._tell(Began(id=asked.id), now_s)

    def ended(self, asked: Asked, now_s: float) -> Iterator[Act]:
        del self._asked[asked.id]
        arrival = asked.arrival
        served = Served(
            prompt_tokens=_uncached_tokens(asked), output_tokens=min(arrival.output_tokens, arrival.output_cap)
        )
        return self._tell(Ended(id=asked.id, served=served), now_s)

    def left(self, asked: Asked, now_s: float) -> Iterator[Act]:
        del self._asked[asked.id]
        return self._tell(Left(id=asked.id), now_s)

    def tick(self, now_s: float) -> Iterator[Act]:
        return self._tell(Tick(), now_s)

    def _tell(self, event: QueueEvent, now_s: float) -> Iterator[Act]:
        return self._acts(self.queue.handle(event, now_s))

    def _acts(self, effects: Iterable[Effect]) -> Iterator[Act]:
        for effect in effects:
            asked = self._asked[effect.ticket.id]
            if isinstance(effect, Dispatch):
                yield Start(asked, int(effect.target))
            elif isinstance(effect, Refuse):
                del self._asked[asked.id]
                told_s = effect.retry_after_s
                may_retry = told_s is not None or not self._books
                yield TurnAway(asked, told_s, may_retry=may_retry, forecast=effect.forecast)
            else:
                yield Keep(asked, effect.forecast)

    def _ticket(self, asked: Asked) -> Ticket:
        arrival = asked.arrival
        return Ticket(
            id=asked.id,
            model=arrival.model,
            kind=arrival.kind,
            team=arrival.team,
            arrived_s=asked.at_s,
            weight=arrival.weight,
            band=arrival.band,
            promise_s=arrival.promise_s,
            prompt_tokens=round(_uncached_tokens(asked) * self._prompt_error),
            output_cap=arrival.output_cap,
            identity=asked.number.to_bytes(8, "big") if self._books else b"",
        )


def _uncached_tokens(asked: Asked) -> int:
    return max(asked.arrival.prompt_tokens - asked.arrival.cached_tokens, 0)
