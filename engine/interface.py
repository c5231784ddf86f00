"""What an engine is: anything that can prepare a call and stream its events.

Two kinds exist: the own pool (`engine.pool`) and HTTP upstreams (`gateway.upstreams`). Both are
reached only from the app and the dispatcher. A `Target` is the unit of capacity that the queue
sees: one worker, or one upstream.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from engine.answers.answer_form import PLAIN, AnswerForm
from engine.pictures import Picture
from policies.call import Call, CallKind, Event, ModelCard, ModelDescription


class Prepared(Struct, frozen=True, kw_only=True):
    """A call made ready to be priced and run.

    `prompt_ids` holds one sequence of token ids for chat and completion, one an input for
    embeddings; empty for an upstream, which then sets `estimated` and gives a guess in
    `prompt_tokens`. `block_hashes` are salted with the call's cache scope, one for each 64-token
    block, each hash covering all blocks before it. `grammar` is compiled GBNF or empty, `form` how to read the answer.
    `images` are what was decoded from the caller's, which `call` no longer holds.
    """

    call: Call
    prompt_tokens: int
    prompt_ids: tuple[tuple[int, ...], ...] = ()
    block_hashes: tuple[bytes, ...] = ()
    grammar: str = ""
    max_output_tokens: int
    estimated: bool = False
    form: AnswerForm = PLAIN
    images: tuple[Picture, ...] = ()


Standby = Literal["", "absent", "loading", "failed"]
"""How a target that is not ready will be: nothing known, loaded once somebody waits, being loaded, given up on."""


class StepReport(Struct, frozen=True, kw_only=True):
    """One step of one target: nanoseconds of the decode call, rows of each kind, and occupancy.

    `decode_rows` and `prefill_rows` were in the batch; `cached_tokens` were reused instead of
    prefilled since the last report; `busy_slots` of `slots` hold a request after the step.
    """

    step_ns: int
    decode_rows: int
    prefill_rows: int
    cached_tokens: int
    output_tokens: int
    busy_slots: int
    slots: int


class TargetState(Struct, frozen=True, kw_only=True):
    """A change the engine announces: a target that became ready (with its slots) or was lost.

    `adapters` are those it can run beside the bare model (""). `slot_weight` is the cores or devices that one slot
    holds, `slot_tokens` what it can remember. `swaps`: it loads models as they are asked for.
    `standby` and `load_s` tell of one that is not ready how it will be and how long a load takes; `fault` why it
    failed.
    """

    target: str
    models: tuple[str, ...]
    kinds: tuple[CallKind, ...]
    slots: int
    ready: bool
    adapters: tuple[str, ...] = ("",)
    slot_weight: float = 1.0
    slot_tokens: int = 4096
    swaps: bool = False
    standby: Standby = ""
    load_s: float = 0.0
    fault: str = ""


@runtime_checkable
class TakenRun(Protocol):
    """A run that knows who took it: the life of a worker process, "" once it turned out that nobody has."""

    @property
    def taken_by(self) -> str: ...


class Observer(Protocol):
    """Where an engine reports to; called on the event loop, must not block.

    `target_died`: the connection to the process behind a target was lost unasked while `batch` ran there, of ours, so
    it seems to have died; `alone` when nobody else's ran beside. It comes before the streams end and before the target
    is lost.
    """

    def target_changed(self, state: TargetState) -> None: ...
    def step_reported(self, target: str, report: StepReport) -> None: ...
    def target_died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None: ...


class Engine(Protocol):
    """One source of capacity. All coroutines raise `EngineError` subclasses and nothing else.

    `run` streams the events of a prepared call on one of this engine's targets; leaving its context
    early cancels the work there. It raises `SlotTaken` before the first event when the target turned
    out to be full, or when `fence`, the epoch of who decided it (0: this gateway alone), is past.
    `start_up` begins to connect and report to the observer, `close` ends that. `isolates`: each of its processes serves
    one tenant in its life. `has_listed`: its models are known, or it had long enough to tell them.
    """

    @property
    def isolates(self) -> bool: ...
    @property
    def has_listed(self) -> bool: ...
    async def start_up(self, observer: Observer) -> None: ...
    async def close(self) -> None: ...
    def models(self) -> tuple[ModelCard, ...]: ...
    async def describe(self, model: str) -> ModelDescription: ...
    async def prepare(self, call: Call) -> Prepared: ...
    def run(
        self, target: str, prepared: Prepared, fence: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]: ...
