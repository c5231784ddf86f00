"""The loop of an embedding worker: several inputs a batch, one vector an input.

Rules:
 1. An input that was begun goes on first, so at most one is ever unfinished and memory for one is enough.
 2. Then requests take turns, one input each, so that a request of a thousand inputs does not stop one of one.
 3. A causal model reads an input in chunks. Any other needs it whole, because every token sees every other.
 4. Vectors are pooled here from the rows, as the model's file says (mean when it says nothing), in float32,
    not normalised. llama.cpp's own pooling would need every input whole in one batch.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching.adapter_groups import AdapterGroups
from engine.batching.batch import Batch
from engine.batching.request import Owner, StartRefused, read_prompt
from engine.batching.step_result import StepResult, Totals
from engine.frames import Counters, Ended, Start

MAX_SEQUENCES = 64  # inputs in one batch
DONE, ABORTED = 0, 2  # results of llama_decode; anything else is a fault


class Pooling(IntEnum):
    """How rows become one vector; llama.cpp's numbers (LLAMA_POOLING_TYPE)."""

    MEAN = 1
    FIRST = 2
    LAST = 3


class Backend(Protocol):
    """What the loop needs of llama.cpp; `decode` as in `engine.batching.batching.Backend`.

    `vectors` is shape (rows, embedding length) of the last batch. `reads_in_chunks`: see rule 3.
    """

    vocabulary_size: int
    reads_in_chunks: bool
    pooling: Pooling

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int: ...
    def vectors(self, rows: int) -> NDArray[np.float32]: ...
    def cut(self, sequence: int, start: int) -> bool: ...


class Job:
    """One request: its inputs and the vectors so far. `next_input` is the first not begun."""

    def __init__(self, owner: Owner, request_id: int, inputs: list[NDArray[np.int32]], started_ns: int) -> None:
        self.owner = owner
        self.request_id = request_id
        self.inputs = inputs
        self.vectors: list[bytes] = [b""] * len(inputs)
        self.missing = len(inputs)
        self.next_input = 0
        self.started_ns = started_ns


class Reading:
    """One input being read, as sequence `sequence`; `done` of its tokens are in memory."""

    def __init__(self, job: Job, index: int, sequence: int) -> None:
        self.job = job
        self.index = index
        self.sequence = sequence
        self.tokens = job.inputs[index]
        self.done = 0
        self._pooled: NDArray[np.float32] | None = None

    @property
    def left(self) -> int:
        return len(self.tokens) - self.done

    def add(self, rows: NDArray[np.float32], pooling: Pooling) -> None:
        """Take the vectors of the next tokens, shape (tokens, embedding length)."""
        self.done += len(rows)
        if pooling is Pooling.LAST:
            self._pooled = rows[-1].copy()
        elif self._pooled is None:
            self._pooled = rows[0].copy() if pooling is Pooling.FIRST else rows.sum(axis=0)
        elif pooling is Pooling.MEAN:
            self._pooled += rows.sum(axis=0)

    def vector(self, pooling: Pooling) -> bytes:
        """The input's vector, float32 little-endian."""
        if self._pooled is None:
            raise ValueError("no rows were read")
        pooled = self._pooled / len(self.tokens) if pooling is Pooling.MEAN else self._pooled
        return pooled.astype("<f4").tobytes()


def plan_turns(fresh_inputs: Sequence[int], room: int) -> list[int]:
    """Which request begins an input next: indices, in turns, for the number each has left, at most `room`."""
    left = list(fresh_inputs)
    turns: list[int] = []
    while len(turns) < room and any(left):
        for index, count in enumerate(left):
            if count and len(turns) < room:
                turns.append(index)
                left[index] -= 1
    return turns


def plan_rows(left: Sequence[int], capacity: int, *, reads_in_chunks: bool) -> list[int]:
    """How many rows each input gets, in order, until one does not fit."""
    rows: list[int] = []
    for tokens in left:
        count = min(tokens, capacity)
        if count == 0 or (count < tokens and not reads_in_chunks):
            break
        rows.append(count)
        capacity -= count
    return rows


class EmbeddingLoop:
    """The loop of an embedding worker (`engine.batching.step_result.Loop`). `clock` gives monotonic nanoseconds.

    `batch_tokens` must hold `context_tokens` when the model does not read in chunks.
    """

    def __init__(
        self, backend: Backend, *, slots: int, context_tokens: int, batch_tokens: int, clock: Callable[[], int]
    ) -> None:
        self._backend = backend
        self._slots = slots
        self._context_tokens = context_tokens
        self._batch_tokens = batch_tokens
        self._clock = clock
        self._batch = Batch(batch_tokens, MAX_SEQUENCES)
        self._free_sequences = list(range(MAX_SEQUENCES))
        self._jobs: list[Job] = []
        self._reading: list[Reading] = []
        self._totals = Totals()
        self._result = StepResult()
        self._has_news = False
        self._was_aborted = False

    @property
    def adapters(self) -> tuple[str, ...]:
        """None: vectors are the bare model's."""
        return ()

    @property
    def has_work(self) -> bool:
        return self._has_news or bool(self._jobs)

    def start(self, owner: Owner, start: Start) -> bool:
        """Take the request. False: no slot is free. A Start that cannot run ends with a fault."""
        try:
            AdapterGroups().require(start.adapter)  # vectors are the bare model's
            inputs = self._read(start)
        except StartRefused as fault:
            self._result.ended.append((owner, Ended(id=start.id, fault=str(fault))))
            self._has_news = True
            return True
        if len(self._jobs) >= self._slots:
            return False
        self._jobs.append(Job(owner, start.id, inputs, self._clock()))
        self._totals.started += 1
        return True

    def cancel(self, owner: Owner, request_id: int) -> None:
        """Forget this request, if it runs."""
        self._abandon([job for job in self._jobs if job.owner == owner and job.request_id == request_id])

    def drop(self, owner: Owner) -> None:
        """Forget all requests of `owner`."""
        self._abandon([job for job in self._jobs if job.owner == owner])

    def would_interrupt(self, owner: Owner, request_id: int | None) -> bool:
        """Whether the request (None: any of the owner's) has rows in the batch that is running."""
        jobs = [reading.job for reading in self._reading if reading.job.owner == owner]
        return any(request_id in (None, job.request_id) for job in jobs)

    def counters(self) -> Counters:
        return self._totals.counters(len(self._jobs))

    def step(self, interrupt: Callable[[], bool]) -> StepResult:
        """Run one batch; returns all that happened since the last step."""
        self._begin_inputs()
        began_ns = self._clock()
        rows = self._fill()
        if rows and self._decode(interrupt):
            self._result.step_ns = self._clock() - began_ns
            self._result.prefill_rows = self._batch.rows
            self._totals.prefill_tokens += self._batch.rows
            self._pool(rows)
        self._totals.steps += 1
        self._has_news = False
        result, self._result = self._result, StepResult()
        result.busy_slots, result.slots = len(self._jobs), self._slots
        return result

    def _begin_inputs(self) -> None:
        fresh = [len(job.inputs) - job.next_input for job in self._jobs]
        for turn in plan_turns(fresh, len(self._free_sequences)):
            job = self._jobs[turn]
            self._reading.append(Reading(job, job.next_input, self._free_sequences.pop()))
            job.next_input += 1

    def _fill(self) -> list[int]:
        left = [reading.left for reading in self._reading]
        rows = plan_rows(left, self._batch_tokens, reads_in_chunks=self._backend.reads_in_chunks)
        self._batch.clear()
        for reading, count in zip(self._reading, rows, strict=False):
            tokens = reading.tokens[reading.done : reading.done + count]
            self._batch.add(reading.sequence, tokens, reading.done, results="all")
        return rows

    def _decode(self, interrupt: Callable[[], bool]) -> bool:
        code = self._backend.decode(self._batch, None if self._was_aborted else interrupt)
        self._was_aborted = code == ABORTED
        if code == DONE:
            self._totals.decode_calls += 1
            return True
        for reading in self._reading:
            self._backend.cut(reading.sequence, reading.done)
        if code != ABORTED:
            for job in list(dict.fromkeys(reading.job for reading in self._reading)):
                self._end(job, Ended(id=job.request_id, fault=f"llama_decode failed with {code}"))
        return False

    def _pool(self, rows: Sequence[int]) -> None:
        vectors = self._backend.vectors(self._batch.rows)
        begin = 0
        for reading, count in zip(list(self._reading), rows, strict=False):
            reading.add(vectors[begin : begin + count], self._backend.pooling)
            begin += count
            if not reading.left:
                self._complete(reading)

    def _complete(self, reading: Reading) -> None:
        job = reading.job
        job.vectors[reading.index] = reading.vector(self._backend.pooling)
        job.missing -= 1
        self._stop_reading(reading)
        if not job.missing:
            self._end(
                job,
                Ended(
                    id=job.request_id,
                    reason="stop",
                    prompt_tokens=sum(len(tokens) for tokens in job.inputs),
                    prefill_ns=self._clock() - job.started_ns,
                    vectors=tuple(job.vectors),
                ),
            )

    def _read(self, start: Start) -> list[NDArray[np.int32]]:
        if not start.token_ids:
            raise StartRefused("an embedding needs at least one input")
        inputs = [read_prompt(ids, vocabulary_size=self._backend.vocabulary_size) for ids in start.token_ids]
        if (longest := max(len(tokens) for tokens in inputs)) > self._context_tokens:
            raise StartRefused(f"an input of {longest} tokens is above the context of {self._context_tokens}")
        return inputs

    def _end(self, job: Job, ended: Ended) -> None:
        self._result.ended.append((job.owner, ended))
        self._totals.ended += 1
        self._remove(job)

    def _abandon(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._totals.cancelled += 1
            self._has_news = True
            self._remove(job)

    def _remove(self, job: Job) -> None:
        self._jobs.remove(job)
        for reading in [reading for reading in self._reading if reading.job is job]:
            self._stop_reading(reading)

    def _stop_reading(self, reading: Reading) -> None:
        self._backend.cut(reading.sequence, 0)
        self._reading.remove(reading)
        self._free_sequences.append(reading.sequence)
