"""The embedding loop over a model whose vectors tell which token was read where."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.batching.batch import Batch
from engine.batching.embedding import MAX_SEQUENCES, EmbeddingLoop, Job, Pooling, Reading, plan_rows, plan_turns
from engine.frames import Ended, Start
from policies.call import Sampling

OWNER = "gateway"


class FakeVectors:
    """The vector of a row is (token, position, 1)."""

    vocabulary_size = 1000

    def __init__(self, pooling: Pooling = Pooling.MEAN, *, reads_in_chunks: bool = True) -> None:
        self.pooling = pooling
        self.reads_in_chunks = reads_in_chunks
        self.memory: dict[int, int] = {}
        self.batches: list[list[int]] = []
        self.codes: deque[int] = deque()
        self._vectors = np.zeros((0, 3), np.float32)

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        if interrupt is not None and interrupt():
            self._store(batch, batch.rows // 2)
            return 2
        if self.codes:
            return self.codes.popleft()
        self._store(batch, batch.rows)
        self.batches.append(batch.sequence_ids[: batch.rows].tolist())
        tokens, positions = batch.token[: batch.rows], batch.position[: batch.rows]
        assert batch.wants_result[: batch.rows].all()
        self._vectors = np.stack([tokens, positions, np.ones_like(tokens)], axis=1).astype(np.float32)
        return 0

    def _store(self, batch: Batch, rows: int) -> None:
        for row in range(rows):
            sequence = int(batch.sequence_ids[row])
            assert batch.position[row] == self.memory.get(sequence, 0), "a row does not follow its sequence"
            self.memory[sequence] = self.memory.get(sequence, 0) + 1

    def vectors(self, rows: int) -> NDArray[np.float32]:
        return self._vectors[:rows]

    def cut(self, sequence: int, start: int) -> bool:
        self.memory[sequence] = start
        return True


class Run:
    def __init__(self, backend: FakeVectors | None = None, *, slots: int = 2, context: int = 64, batch: int = 16):
        self.backend = backend or FakeVectors()
        self.loop = EmbeddingLoop(
            self.backend, slots=slots, context_tokens=context, batch_tokens=batch, clock=lambda: 5
        )
        self.ended: dict[int, Ended] = {}
        self.order: list[int] = []

    def start(self, id_: int, *inputs: list[int], owner: str = OWNER) -> bool:
        ids = tuple(np.asarray(tokens, "<i4").tobytes() for tokens in inputs)
        return self.loop.start(
            owner, Start(id=id_, token_ids=ids, sampling=Sampling(), max_output_tokens=0, cache_scope="")
        )

    def step(self, interrupt: Callable[[], bool] = lambda: False) -> None:
        result = self.loop.step(interrupt)
        self.order += [ended.id for _, ended in result.ended]
        self.ended |= {ended.id: ended for _, ended in result.ended}
        self.last = result

    def finish(self) -> None:
        while self.loop.has_work:
            self.step()

    def vectors(self, id_: int) -> list[list[float]]:
        return [np.frombuffer(vector, "<f4").tolist() for vector in self.ended[id_].vectors]


@pytest.mark.parametrize(
    ("pooling", "vector"),
    [(Pooling.MEAN, [6.0, 1.0, 1.0]), (Pooling.FIRST, [3.0, 0.0, 1.0]), (Pooling.LAST, [9, 2, 1])],
)
@pytest.mark.parametrize("batch", [2, 16])
def test_one_vector_an_input_whatever_the_chunks(pooling: Pooling, vector: list[float], batch: int) -> None:
    run = Run(FakeVectors(pooling), batch=batch)
    run.start(1, [3, 6, 9], [7])
    run.finish()

    assert run.vectors(1) == [vector, [7.0, 0.0, 1.0]]
    ended = run.ended[1]
    assert (ended.reason, ended.prompt_tokens, ended.output_tokens) == ("stop", 4, 0)


def test_several_inputs_share_a_batch() -> None:
    run = Run()
    run.start(1, [1, 1], [2, 2], [3, 3])
    run.step()

    assert [len(set(batch)) for batch in run.backend.batches] == [3]
    assert (run.last.prefill_rows, run.last.busy_slots, run.last.slots) == (6, 0, 2)
    assert run.loop.counters().decode_calls == 1
    assert run.loop.counters().prefill_tokens == 6


def test_a_large_request_does_not_stop_a_small_one() -> None:
    run = Run(slots=2, batch=4)
    run.start(1, *[[1, 1, 1]] * 300)
    run.start(2, [2])
    run.finish()

    assert run.order == [2, 1]
    assert len(run.vectors(1)) == 300


def test_slots_bound_the_requests() -> None:
    run = Run(slots=1)
    assert run.start(1, [1])
    assert not run.start(2, [1])
    run.finish()
    assert run.start(3, [1])


def test_a_model_that_reads_whole_inputs_never_gets_a_part() -> None:
    run = Run(FakeVectors(reads_in_chunks=False), batch=16, context=16)
    run.start(1, [1] * 10, [2] * 10, [3] * 6)
    run.step()
    assert [len(batch) for batch in run.backend.batches] == [10]
    run.finish()

    assert [len(batch) for batch in run.backend.batches] == [10, 16]


def test_what_cannot_run_ends_with_a_fault() -> None:
    run = Run(context=4)
    run.start(1)
    run.start(2, [1] * 5)
    run.start(3, [1000])
    run.start(4, [])
    assert run.loop.has_work
    run.step()

    assert run.ended[1].fault == "an embedding needs at least one input"
    assert run.ended[2].fault == "an input of 5 tokens is above the context of 4"
    assert run.ended[3].fault == "a token id is outside the model's vocabulary"
    assert "at least one" in run.ended[4].fault


def test_a_cancelled_request_is_forgotten_and_its_sequences_are_free() -> None:
    run = Run(slots=2, batch=4)
    run.start(1, *[[1] * 6] * 80)
    run.start(2, [5] * 3)
    run.step()
    assert run.loop.would_interrupt(OWNER, 1)
    assert run.loop.would_interrupt(OWNER, None)
    assert not run.loop.would_interrupt(OWNER, 9)
    assert not run.loop.would_interrupt("other", None)
    run.loop.cancel(OWNER, 1)
    run.loop.cancel(OWNER, 9)
    run.finish()

    assert run.order == [2]
    assert run.loop.counters().cancelled == 1
    assert set(run.backend.memory.values()) <= {0}
    assert len(run.loop._free_sequences) == MAX_SEQUENCES


def test_a_dropped_owner_loses_all_its_requests() -> None:
    run = Run()
    run.start(1, [1], owner="left")
    run.start(2, [1], owner="right")
    run.loop.drop("left")
    run.finish()

    assert run.order == [2]


def test_an_interrupted_batch_is_read_again() -> None:
    run = Run(batch=4)
    run.start(1, [3] * 6)
    run.step()
    run.step(lambda: True)
    assert run.last.prefill_rows == 0
    run.step(lambda: True)  # runs through

    assert run.vectors(1) == [[3.0, 2.5, 1.0]]


def test_a_failed_decode_ends_what_was_being_read() -> None:
    run = Run()
    run.start(1, [1], [2])
    run.backend.codes.append(-3)
    run.step()
    run.start(2, [4])
    run.finish()

    assert run.ended[1].fault == "llama_decode failed with -3"
    assert run.vectors(2) == [[4.0, 0.0, 1.0]]


def test_a_vector_needs_rows() -> None:
    with pytest.raises(ValueError, match="no rows"):
        Reading(Job(OWNER, 1, [np.array([1], np.int32)], 0), 0, 0).vector(Pooling.MEAN)


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 12))
def test_turns_are_even(fresh: list[int], room: int) -> None:
    turns = plan_turns(fresh, room)
    counts = [turns.count(index) for index in range(len(fresh))]

    assert len(turns) == min(room, sum(fresh))
    assert all(count <= left for count, left in zip(counts, fresh, strict=True))
    behind = [count for count, left in zip(counts, fresh, strict=True) if count < left]
    assert not behind or max(counts) - min(behind) <= 1


@given(st.lists(st.integers(1, 30), max_size=10), st.integers(1, 40), st.booleans())
def test_rows_fit_and_at_most_one_input_is_cut(left: list[int], capacity: int, chunks: bool) -> None:
    rows = plan_rows(left, capacity, reads_in_chunks=chunks)
    cut = [index for index, count in enumerate(rows) if count < left[index]]

    assert sum(rows) <= capacity
    assert all(rows)
    assert cut in ([], [len(rows) - 1] if chunks else [])
