"""The batching loop: many requests, one `llama_decode` a step.

Order of a step:
 (1) waiting slots whose leader has computed their common prefix copy it and go on with the rest; parked ones that
     fit into memory again begin (`engine.batching.parking`); prefixes that nobody runs on leave the cells
     (`engine.batching.idle_memory`)
 (2) plan: one row for every generating slot, then prompt rows (`engine.batching.prefill_pace`), all of the adapter
     whose turn it is (`engine.batching.adapter_turns`); where cells are short, forget the idle prefix unused for
     longest, then park the youngest; before it, one picture of the oldest prompt that stands at one
     (`engine.batching.image_rows`)
 (3) decode; should llama.cpp find no room all the same, do so too, and plan again
 (4) sample every row that gave logits, detokenise, look for stops, end what is over

It keeps no queue: a request either gets a slot at `start` or is refused. Starting and cancelling
happen between steps only. A decode that was aborted or failed leaves each slot's memory at exactly
its `cached` tokens, so the next step simply computes the rows again.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from engine.batching.adapter_groups import AdapterGroups
from engine.batching.batch import Batch, plan_prefill
from engine.batching.image_rows import (
    Eyes,
    PictureFault,
    next_to_look,
    read_stretches,
    text_rows,
    without_pictures,
)
from engine.batching.prefill_pace import PrefillPace
from engine.batching.request import Owner, Request, StartRefused, read_prompt
from engine.batching.sampler import SamplingFault, TokenSampler, likeliest, log_probabilities
from engine.batching.slot import Slot, SlotState
from engine.batching.slot_table import Memory, SlotTable
from engine.batching.step_result import StepResult, Totals
from engine.frames import Counters, Ended, Output, Start
from engine.pictures import Stretch
from engine.prefix_scope import prefix_scope
from policies.call import Sampling, StopReason, TokenLogprob

DONE, NO_ROOM, ABORTED = 0, 1, 2  # results of llama_decode; anything else is a fault


class Backend(Memory, Protocol):
    """What the loop needs of llama.cpp. Sequences are slot indices, rows those of the last batch.

    `decode` with an `interrupt` asks it while computing and returns ABORTED when it says True.
    `sampler` raises SamplingFault. `spell` is `piece` with control tokens written out. `cells` 0: as many as all slots'
    contexts have. Up to `idle_bytes` of prefixes that nobody runs on may lie beside them. `tile_rows` and
    `row_block` as `engine.batching.prefill_pace` has them.
    """

    vocabulary_size: int
    cells: int
    idle_bytes: int
    tile_rows: int
    row_block: int

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

    @property
    def prefill_rows(self) -> int:
        return sum(count for _, count in self.prefill)

    def slots(self) -> list[Slot]:
        return [*self.generating, *(slot for slot, _ in self.prefill)]

    def requests(self) -> set[Request]:
        return {slot.running for slot in self.slots()}

    def fill(self, batch: Batch) -> None:
        """Write the rows; only a slot's last known token asks for logits."""
        batch.clear()
        for slot, count in [*((slot, 1) for slot in self.generating), *self.prefill]:
            end = slot.cached + count
            results = "last" if end == slot.known else "none"
            tokens = slot.tokens[slot.cached : end]
            self.last_row[slot.index] = batch.add(slot.index, tokens, slot.cached, results=results)


class Batching:
    """The loop of a chat worker (`engine.batching.step_result.Loop`). `clock` gives monotonic nanoseconds.

    All slots share the backend's cells of memory, one a token.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        slots: int,
        context_tokens: int,
        batch_tokens: int,
        clock: Callable[[], int],
        adapters: AdapterGroups | None = None,
    ) -> None:
        self._eyes: Eyes | None = None
        self._adapters = adapters or AdapterGroups()
        self._backend = backend
        self._context_tokens = context_tokens
        self._clock = clock
        self._batch = Batch(batch_tokens, slots)
        self._pace = PrefillPace(batch_tokens, backend.tile_rows, backend.row_block)
        self._table = SlotTable(
            backend, slots=slots, context_tokens=context_tokens, cells=backend.cells, idle_bytes=backend.idle_bytes
        )
        self._totals = Totals()
        self._result = StepResult()  # grows until the step that returns it
        self._has_news = False  # something happened between steps that the next result must tell
        self._given_up: set[Request] = set()  # whose rows were, since they last were computed
        self._looked_at: Slot | None = None  # whose picture is being computed

    def see_with(self, eyes: Eyes) -> None:
        """Take pictures from now on. Idle prefixes stay in their cells: the rows of pictures have places of two
        dimensions, and that these come back as they were was not shown.
        """
        self._eyes = eyes
        self._table.keep_inside()

    # ---- between steps

    @property
    def adapters(self) -> tuple[str, ...]:
        return self._adapters.names

    @property
    def has_work(self) -> bool:
        return self._has_news or self._table.busy > 0

    def start(self, owner: Owner, start: Start) -> bool:
        """Give the request a slot. False: none is free. A Start that cannot run ends with a fault."""
        try:
            prompt = self._read(owner, start)
            scope = prefix_scope(start.cache_scope, start.adapter)
            placement = self._table.find_place(prompt, scope)
            if placement is None:
                return False
            pictures = read_stretches(prompt, start.images, self._eyes.tokens if self._eyes else 0)
            sampler = self._backend.sampler(start.sampling, start.grammar, without_pictures(prompt))
        except (StartRefused, SamplingFault) as fault:
            self._result.ended.append((owner, Ended(id=start.id, fault=str(fault))))
            self._has_news = True
            return True
        request = Request(owner, start, prompt, sampler, self._clock())
        request.pictures = pictures
        self._table.occupy(placement, request, scope)
        self._totals.started += 1
        self._begin_parked()
        return True

    def cancel(self, owner: Owner, request_id: int) -> None:
        """Free the slot of this request, if it has one."""
        self._abandon(self._table.of(owner, request_id))

    def drop(self, owner: Owner) -> None:
        """Free all slots of `owner`."""
        self._abandon(self._table.of(owner))

    def would_interrupt(self, owner: Owner, request_id: int | None) -> bool:
        """Whether the request (None: any of the owner's) may have prompt rows in the batch that is running, or is the
        one whose picture is being looked at.
        """
        if self._looked_at is not None:
            return self._looked_at in self._table.of(owner, request_id)
        return any(slot.state is SlotState.PREFILL for slot in self._table.of(owner, request_id))

    def counters(self) -> Counters:
        table = self._table
        return structs.replace(
            self._totals.counters(table.busy),
            adapter_changes=self._adapters.changes,
            idle_bytes=table.idle_bytes,
            idle_moves=table.idle_moves,
        )

    # ---- a step

    def step(self, interrupt: Callable[[], bool]) -> StepResult:
        """Run one step; returns all that happened since the last one."""
        self._count_cached(self._table.resolve_waiting())
        self._begin_parked()
        self._table.move_idle_out()
        if self._eyes is not None:
            self._look(self._eyes, interrupt)
        began_ns = self._clock()
        if (rows := self._decode(interrupt)) is not None:
            took_ns = self._clock() - began_ns
            self._result.step_ns += took_ns
            self._adapters.stepped(took_ns, self._batch.rows)
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
            # Nobody's rows are given up twice in a row: a caller who cancels again and again starves nobody.
            may_abort = bool(rows.prefill) and self._given_up.isdisjoint(rows.requests())
            began_ns = self._clock()
            code = self._backend.decode(self._batch, interrupt if may_abort else None)
            if code == DONE:
                self._given_up.difference_update(rows.requests())
                self._learn_pace(rows, self._clock() - began_ns)
                self._totals.decode_calls += 1
                return rows
            self._undo(rows, code)
            if code == ABORTED:
                self._give_up(rows)
                return None

    def _plan(self) -> Rows:
        generating, prompts = self._choose()
        prompting = {slot.index: slot for slot in prompts}
        remaining = [(slot.index, rows) for slot in prompts if (rows := text_rows(slot))]
        wanted = min(self._pace.rows(len(generating), len(prompts)), sum(count for _, count in remaining))
        while self._table.free_cells < len(generating) + wanted and self._table.forget_oldest_prefix():
            pass
        plan = plan_prefill(remaining, min(wanted, self._table.free_cells - len(generating)))
        return Rows(generating, [(prompting[index], count) for index, count in plan])

    def _look(self, eyes: Eyes, interrupt: Callable[[], bool]) -> None:
        """Compute the next picture of the oldest prompt that stands at one, if its adapter's turn it is."""
        if next_to_look(self._table.prompting()) is None:
            return
        _, prompts = self._choose()
        if (found := next_to_look(prompts)) is None:
            return
        slot, stretch = found
        if slot.cached > stretch.start:
            self._table.forget(slot)
            return
        while self._table.free_cells < eyes.tokens and slot.state is SlotState.PREFILL:
            self._free_cells()
        if slot.state is SlotState.PREFILL:  # else it had to make room itself
            self._looked_at = slot
            self._take_in(slot, stretch, eyes, interrupt)
            self._looked_at = None

    def _take_in(self, slot: Slot, stretch: Stretch, eyes: Eyes, interrupt: Callable[[], bool]) -> None:
        began_ns = self._clock()
        try:
            code = eyes.look(slot.index, stretch.start, stretch.picture, interrupt)
        except PictureFault as fault:
            self._fail(slot, str(fault))
            return
        if code != DONE:
            self._table.rewind(slot)
            if code == NO_ROOM:
                self._free_cells()
            elif code != ABORTED:
                self._fail(slot, f"llama_decode failed with {code}")
            return
        self._count_prefilled(eyes.tokens, self._table.advance(slot, eyes.tokens))
        took_ns = self._clock() - began_ns
        self._result.step_ns += took_ns
        self._adapters.stepped(took_ns, eyes.tokens)

    def _count_prefilled(self, rows: int, fresh: int) -> None:
        """`rows` of prompts are in memory now, `fresh` of which never were before."""
        self._result.prefill_rows += rows
        self._totals.prefill_tokens += fresh
        self._totals.recomputed_tokens += rows - fresh

    def _choose(self) -> tuple[list[Slot], list[Slot]]:
        """Who generates and whose prompt is read now, with cells for each of the first, or one for the second."""
        while True:
            generating, prompts = self._adapters.take_turn(self._table.generating(), self._table.prompting())
            if self._table.free_cells >= (len(generating) or bool(prompts)):
                return generating, prompts
            self._free_cells()

    def _free_cells(self) -> None:
        """Forget a prefix, else park the youngest; else the only one that runs is too long for the whole memory."""
        if self._table.forget_oldest_prefix():
            return
        youngest = self._table.to_park()
        if youngest is not None:
            youngest.running.park(self._clock())
            self._table.park(youngest)
            self._totals.parked += 1
            return
        for slot in self._table.running():
            self._end_too_long(slot, slot.running)

    def _undo(self, rows: Rows, code: int) -> None:
        for slot in rows.slots():
            self._table.rewind(slot)
        if code == NO_ROOM:
            self._free_cells()
        elif code != ABORTED:
            for slot in rows.slots():
                self._fail(slot, f"llama_decode failed with {code}")

    def _give_up(self, rows: Rows) -> None:
        running = {slot.running for slot in self._table.running()}
        self._given_up = (self._given_up & running) | rows.requests()

    def _advance(self, rows: Rows) -> None:
        """The batch is in memory now."""
        for slot in rows.generating:
            self._table.advance(slot, 1)
        fresh = 0
        for slot, count in rows.prefill:
            fresh += self._table.advance(slot, count)
            if slot.cached == slot.known:
                slot.state = SlotState.DECODE
        self._result.decode_rows = len(rows.generating)
        self._count_prefilled(rows.prefill_rows, fresh)

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

    def _end_too_long(self, slot: Slot, request: Request) -> None:
        """Nobody else has memory, and still there is no cell: what it has is all it can get."""
        if request.output_tokens:
            self._finish(slot, request, "length")
        else:
            tokens = len(request.prompt)
            self._fail(slot, f"the prompt of {tokens} tokens does not fit into memory for {self._table.cells}")

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
        self._adapters.require(start.adapter)
        sees = self._eyes is not None
        prompt = read_prompt(start.token_ids[0], vocabulary_size=self._backend.vocabulary_size, pictures=sees)
        if len(prompt) >= self._context_tokens:
            raise StartRefused(f"the prompt of {len(prompt)} tokens fills the context of {self._context_tokens}")
        return prompt

    def _begin_parked(self) -> None:
        while (slot := self._table.to_begin()) is not None:
            slot.running.begin(self._clock())
            self._count_cached(self._table.begin(slot))

    def _learn_pace(self, rows: Rows, took_ns: int) -> None:
        self._pace.observe(decode_rows=len(rows.generating), prefill_rows=rows.prefill_rows, took_ns=took_ns)

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
