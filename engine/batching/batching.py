"""The batching loop: many requests, one `llama_decode` a step.

Order of a step:
 (1) waiting slots whose leader has computed their common prefix copy it and go on with the rest
 (2) plan: one row for every generating slot, then prompt rows (`engine.batching.batch`)
 (3) decode; without room forget the idle prefix unused for longest and plan again, or end the youngest
 (4) sample every row that gave logits, detokenise, look for stops, end what is over

It keeps no queue: a request either gets a slot at `start` or is refused. Starting and cancelling
happen between steps only. A decode that was aborted or failed leaves each slot's memory at exactly
its `cached` tokens, so the next step simply computes the rows again.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching.batch import Batch, plan_prefill
from engine.batching.request import Owner, Request, StartRefused, read_prompt
from engine.batching.sampler import SamplingFault, TokenSampler, likeliest, log_probabilities
from engine.batching.slot import Slot, SlotState
from engine.batching.slot_table import Memory, SlotTable
from engine.batching.step_result import StepResult, Totals
from engine.frames import Counters, Ended, Output, Start
from policies.call import Sampling, StopReason, TokenLogprob

DONE, NO_ROOM, ABORTED = 0, 1, 2  # results of llama_decode; anything else is a fault


class Backend(Memory, Protocol):
    """What the loop needs of llama.cpp. Sequences are slot indices, rows those of the last batch.

    `decode` with an `interrupt` asks it while computing and returns ABORTED when it says True.
    `sampler` raises SamplingFault. `spell` is `piece` with control tokens written out.
    """

    vocabulary_size: int

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int: ...
    def logits(self, row: int) -> NDArray[np.float32]: ...
    def sampler(self, sampling: Sampling, grammar: str, prompt: NDArray[np.int32]) -> TokenSampler: ...
    def piece(self, token_id: int) -> bytes: ...
    def spell(self, token_id: int) -> bytes: ...
    def is_end(self, token_id: int) -> bool: ...


class Rows:
    """What is in the batch of one step: generating slots, prompt rows of slots, and each slot's last row."""

    def __init__(self, generating: list[Slot], prefill: list[tuple[Slot, int]]) -> None:
        self.generating = generating
        self.prefill = prefill
        self.last_row: dict[int, int] = {}

    def slots(self) -> list[Slot]:
        return [*self.generating, *(slot for slot, _ in self.prefill)]

    def fill(self, batch: Batch) -> None:
        """Write the rows; only a slot's last known token asks for logits."""
        batch.clear()
        for slot, count in [*((slot, 1) for slot in self.generating), *self.prefill]:
            end = slot.cached + count
            results = "last" if end == slot.known else "none"
            tokens = slot.tokens[slot.cached : end]
            self.last_row[slot.index] = batch.add(slot.index, tokens, slot.cached, results=results)


class Batching:
    """The loop of a chat worker (`engine.batching.step_result.Loop`). `clock` gives monotonic nanoseconds."""

    def __init__(
        self, backend: Backend, *, slots: int, context_tokens: int, batch_tokens: int, clock: Callable[[], int]
    ) -> None:
        self._backend = backend
        self._context_tokens = context_tokens
        self._batch_tokens = batch_tokens
        self._clock = clock
        self._batch = Batch(batch_tokens, slots)
        self._table = SlotTable(backend, slots=slots, context_tokens=context_tokens)
        self._totals = Totals()
        self._result = StepResult()  # grows until the step that returns it
        self._has_news = False  # something happened between steps that the next result must tell
        self._was_aborted = False

    # ---- between steps

    @property
    def has_work(self) -> bool:
        return self._has_news or self._table.busy > 0

    def start(self, owner: Owner, start: Start) -> bool:
        """Give the request a slot. False: none is free. A Start that cannot run ends with a fault."""
        try:
            prompt = self._read(owner, start)
            placement = self._table.find_place(prompt, start.cache_scope)
            if placement is None:
                return False
            sampler = self._backend.sampler(start.sampling, start.grammar, prompt)
        except (StartRefused, SamplingFault) as fault:
            self._result.ended.append((owner, Ended(id=start.id, fault=str(fault))))
            self._has_news = True
            return True
        request = Request(owner, start, prompt, sampler, self._clock())
        self._table.occupy(placement, request, start.cache_scope)
        self._totals.started += 1
        self._count_cached(request.cached_tokens)
        return True

    def cancel(self, owner: Owner, request_id: int) -> None:
        """Free the slot of this request, if it has one."""
        self._abandon(self._table.of(owner, request_id))

    def drop(self, owner: Owner) -> None:
        """Free all slots of `owner`."""
        self._abandon(self._table.of(owner))

    def would_interrupt(self, owner: Owner, request_id: int | None) -> bool:
        """Whether the request (None: any of the owner's) may have prompt rows in the batch that is running."""
        return any(slot.state is SlotState.PREFILL for slot in self._table.of(owner, request_id))

    def counters(self) -> Counters:
        return self._totals.counters(self._table.busy)

    # ---- a step

    def step(self, interrupt: Callable[[], bool]) -> StepResult:
        """Run one step; returns all that happened since the last one."""
        self._count_cached(self._table.resolve_waiting())
        began_ns = self._clock()
        if (rows := self._decode(interrupt)) is not None:
            self._result.step_ns = self._clock() - began_ns
            self._advance(rows)
            self._sample_all(rows)
        self._totals.steps += 1
        self._has_news = False
        result, self._result = self._result, StepResult()
        result.busy_slots, result.slots = self._table.busy, len(self._table)
        return result

    def _decode(self, interrupt: Callable[[], bool]) -> Rows | None:
        """Decode until one batch is done; None when it was aborted or nothing is left to do."""
        while True:
            rows = self._plan()
            rows.fill(self._batch)
            if not self._batch.rows:
                return None
            # After an abort one batch always runs through: a caller who cancels again and again starves nobody.
            may_abort = bool(rows.prefill) and not self._was_aborted
            code = self._backend.decode(self._batch, interrupt if may_abort else None)
            self._was_aborted = code == ABORTED
            if code == DONE:
                self._totals.decode_calls += 1
                return rows
            self._undo(rows, code)
            if code == ABORTED:
                return None

    def _plan(self) -> Rows:
        generating = self._table.generating()
        prompting = {slot.index: slot for slot in self._table.prompting()}
        remaining = [(slot.index, slot.known - slot.cached) for slot in prompting.values()]
        plan = plan_prefill(remaining, len(generating), self._batch_tokens)
        return Rows(generating, [(prompting[index], count) for index, count in plan])

    def _undo(self, rows: Rows, code: int) -> None:
        for slot in rows.slots():
            self._table.rewind(slot)
        if code == NO_ROOM:
            youngest = self._table.youngest()
            if not self._table.forget_oldest_prefix() and youngest is not None:
                self._fail(youngest, "the context memory has no room")
        elif code != ABORTED:
            for slot in rows.slots():
                self._fail(slot, f"llama_decode failed with {code}")

    def _advance(self, rows: Rows) -> None:
        """The batch is in memory now."""
        for slot in rows.generating:
            slot.cached = slot.known
        for slot, count in rows.prefill:
            slot.cached += count
            if slot.cached == slot.known:
                slot.state = SlotState.DECODE
        self._result.decode_rows = len(rows.generating)
        self._result.prefill_rows = sum(count for _, count in rows.prefill)
        self._totals.prefill_tokens += self._result.prefill_rows

    def _sample_all(self, rows: Rows) -> None:
        for slot in rows.slots():
            if slot.state is SlotState.DECODE:
                self._sample(slot, slot.running, rows.last_row[slot.index])

    def _sample(self, slot: Slot, request: Request, row: int) -> None:
        if request.max_output_tokens <= 0:
            self._finish(slot, request, "length")
            return
        logits = self._backend.logits(row)
        try:
            token_id = request.sampler.choose(logits)
        except SamplingFault as fault:
            self._fail(slot, str(fault))
            return
        request.count_token(self._clock())
        self._result.output_tokens += 1
        self._totals.output_tokens += 1
        if self._backend.is_end(token_id):
            self._finish(slot, request, "stop")
        else:
            self._take(slot, request, token_id, logits)

    def _take(self, slot: Slot, request: Request, token_id: int, logits: NDArray[np.float32]) -> None:
        logprob = None if request.top_logprobs is None else self._logprob(logits, token_id, request.top_logprobs)
        output, stopped = request.take(token_id, self._backend.piece(token_id), logprob)
        self._put(request, output)
        slot.tokens[slot.known] = token_id
        slot.known += 1
        if stopped:
            self._end(slot, request, "stop")
        elif request.output_tokens >= request.max_output_tokens or slot.known >= self._context_tokens:
            self._finish(slot, request, "length")

    # ---- endings

    def _finish(self, slot: Slot, request: Request, reason: StopReason) -> None:
        """End after sending what was held back, which may itself complete a stop string."""
        output, stopped = request.flush()
        self._put(request, output)
        self._end(slot, request, "stop" if stopped else reason)

    def _fail(self, slot: Slot, why: str) -> None:
        """End with a fault; what the slot has in memory is not trusted as a prefix."""
        self._end(slot, slot.running, None, why)
        self._table.forget(slot)

    def _end(self, slot: Slot, request: Request, reason: StopReason | None, fault: str = "") -> None:
        self._result.ended.append((request.owner, request.ended(reason, self._clock(), fault)))
        self._totals.ended += 1
        self._table.release(slot)

    def _abandon(self, slots: list[Slot]) -> None:
        for slot in slots:
            self._table.release(slot)
            self._totals.cancelled += 1
            self._has_news = True

    # ---- small parts

    def _read(self, owner: Owner, start: Start) -> NDArray[np.int32]:
        if self._table.of(owner, start.id):
            raise StartRefused(f"request {start.id} is running already")
        if len(start.token_ids) != 1:
            raise StartRefused("a chat worker takes one sequence")
        prompt = read_prompt(start.token_ids[0], vocabulary_size=self._backend.vocabulary_size)
        if len(prompt) >= self._context_tokens:
            raise StartRefused(f"the prompt of {len(prompt)} tokens fills the context of {self._context_tokens}")
        return prompt

    def _count_cached(self, tokens: int) -> None:
        self._result.cached_tokens += tokens
        self._totals.cached_tokens += tokens

    def _put(self, request: Request, output: Output | None) -> None:
        if output is not None:
            self._result.outputs.append((request.owner, output))

    def _logprob(self, logits: NDArray[np.float32], token_id: int, count: int) -> TokenLogprob:
        logprobs = log_probabilities(logits)
        top = tuple(self._named(other, logprobs) for other in likeliest(logprobs, count))
        chosen = self._named(token_id, logprobs)
        return TokenLogprob(chosen.token, chosen.token_bytes, chosen.logprob, top)

    def _named(self, token_id: int, logprobs: NDArray[np.float64]) -> TokenLogprob:
        spelled = self._backend.spell(token_id)
        return TokenLogprob(spelled.decode("utf-8", "replace"), spelled, float(logprobs[token_id]))
