"""What a loop tells the worker after a step, and what a loop is to the worker."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from engine.batching.request import Owner
from engine.frames import Counters, Ended, Output, Start


class StepResult(msgspec.Struct, kw_only=True):
    """One step: outputs and endings with their owners, and the figures of the `Step` frame."""

    outputs: list[tuple[Owner, Output]] = []
    ended: list[tuple[Owner, Ended]] = []
    step_ns: int = 0
    decode_rows: int = 0
    prefill_rows: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    busy_slots: int = 0
    slots: int = 0


class Totals(msgspec.Struct, kw_only=True):
    """Running totals of a loop, named as in the `Counters` frame."""

    decode_calls: int = 0
    steps: int = 0
    output_tokens: int = 0
    prefill_tokens: int = 0
    cached_tokens: int = 0
    started: int = 0
    ended: int = 0
    cancelled: int = 0
    parked: int = 0
    recomputed_tokens: int = 0

    def counters(self, busy_slots: int) -> Counters:
        return Counters(busy_slots=busy_slots, **msgspec.structs.asdict(self))


class Loop(Protocol):
    """A loop of either role, as the worker drives it.

    `start` is False when no slot is free; a Start that cannot run is answered by the next step's
    `ended`. `cancel` and `drop` free slots at once and may be called between steps only. While
    `has_work`, `step` is to be called; it asks `interrupt` now and then inside long computations, and gives up
    that computation when the answer is True. `would_interrupt` says whether cancelling frees a running prefill.
    `adapters` are the names of those it can run a request under, beside the bare model.
    """

    @property
    def adapters(self) -> tuple[str, ...]: ...
    @property
    def has_work(self) -> bool: ...
    def start(self, owner: Owner, start: Start) -> bool: ...
    def cancel(self, owner: Owner, request_id: int) -> None: ...
    def drop(self, owner: Owner) -> None: ...
    def would_interrupt(self, owner: Owner, request_id: int | None) -> bool: ...
    def step(self, interrupt: Callable[[], bool]) -> StepResult: ...
    def counters(self) -> Counters: ...
