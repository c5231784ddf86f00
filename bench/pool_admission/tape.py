"""A tape of what a queue decided and when, one JSON line for each event that matters, and of how long it took.

The gateway's own log says how each request ended; the tape says what the queue said meanwhile, for any queue
alike, on the clock that the load generator reads too (CLOCK_MONOTONIC).
"""

import json
import time
from contextvars import ContextVar
from typing import IO, Any, Protocol

from policies.admitting import events as happened
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse, Waits
from policies.admitting.events import QueueEvent
from policies.admitting.queue_view import QueueView, TargetView
from policies.admitting.ticket import Ticket

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request whose task tells the queue something; its caller is told the same id."""


class AnyQueue(Protocol):
    """What `gateway.scheduling.own_queue.OwnQueue` needs of a queue."""

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]: ...
    def forecast(self, ticket_id: int, now_s: float) -> Forecast: ...
    def predict(self, ticket: Ticket, now_s: float) -> Forecast: ...
    def waiting(self, team: str | None = None) -> int: ...
    def position(self, ticket_id: int) -> int: ...
    def targets(self) -> tuple[TargetView, ...]: ...
    def view(self, now_s: float) -> QueueView: ...


class TapedQueue:
    """`queue`, and everything it decides written to `tape`."""

    def __init__(self, queue: AnyQueue, tape: IO[str]) -> None:
        self._queue = queue
        self._tape = tape
        self.forecast = queue.forecast
        self.predict = queue.predict
        self.waiting = queue.waiting
        self.position = queue.position
        self.targets = queue.targets
        self.view = queue.view

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]:
        """What the queue answers."""
        began_ns = time.perf_counter_ns()
        effects = self._queue.handle(event, now_s)
        micros = (time.perf_counter_ns() - began_ns) / 1000
        self._note_event(event, now_s, micros)
        for effect in effects:
            self._note_effect(effect, now_s)
        if isinstance(event, happened.Tick):
            self._tape.flush()
        return effects

    def _note_event(self, event: QueueEvent, now_s: float, micros: float) -> None:
        kind = type(event).__name__.lower()
        match event:
            case happened.Arrived():
                ticket = event.ticket
                self._write(
                    kind, now_s, ticket.id, micros=micros, request=REQUEST.get(), team=ticket.team,
                    prompt=ticket.prompt_tokens, promise_s=ticket.promise_s,
                )  # fmt: skip
            case happened.Ended():
                served = event.served
                self._write(
                    kind, now_s, event.id, micros=micros, prompt=served.prompt_tokens, cached=served.cached_tokens,
                    output=served.output_tokens,
                )  # fmt: skip
            case happened.Left() | happened.Began():
                self._write(kind, now_s, event.id, micros=micros)
            case _:
                self._write(kind, now_s, 0, micros=micros)

    def _note_effect(self, effect: Effect, now_s: float) -> None:
        match effect:
            case Dispatch():
                self._write("dispatch", now_s, effect.ticket.id)
            case Waits():
                self._write("waits", now_s, effect.ticket.id, **_told(effect.forecast))
            case Refuse():
                told = _told(effect.forecast)
                self._write(
                    "refuse", now_s, effect.ticket.id, reason=effect.reason, retry_after_s=effect.retry_after_s, **told
                )

    def _write(self, kind: str, now_s: float, ticket: int, **facts: Any) -> None:
        self._tape.write(json.dumps({"kind": kind, "at_s": now_s, "ticket": ticket, **facts}) + "\n")


def _told(forecast: Forecast) -> dict[str, float]:
    return {
        "wait_s": forecast.wait_s,
        "likely_s": forecast.likely_s,
        "p90_s": forecast.p90_s,
        "prefill_s": forecast.prefill_s,
    }
