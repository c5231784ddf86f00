"""The loop, driven by hand over a deterministic model."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batching.batching import ABORTED, NO_ROOM, Batching
from engine.batching.prefill_pace import LEAST_ROWS
from engine.batching.slot import SlotState
from engine.batching.step_result import StepResult
from engine.frames import Ended, Start
from policies.call import Sampling, TokenLogprob
from tests.unit.engine.batching_fake import END, FakeBackend, expected_output, next_token

OWNER = "gateway"


class Run:
    """A loop, its fake model, and all it told."""

    def __init__(
        self,
        backend: FakeBackend | None = None,
        *,
        slots: int = 8,
        context: int = 512,
        batch: int = 64,
        cells: int = 0,
        idle_bytes: int = 0,
    ) -> None:
        self.backend = backend or FakeBackend(ends=False)
        self.context = context
        self.idle_bytes = idle_bytes
        self._now_ns = 0
        self.backend.cells = cells
        self.backend.idle_bytes = idle_bytes
        self.loop = Batching(self.backend, slots=slots, context_tokens=context, batch_tokens=batch, clock=self._tick)
        self.backend.scope_of = self._scope_of
        self.texts: dict[tuple[object, int], str] = {}
        self.logprobs: dict[tuple[object, int], list[TokenLogprob]] = {}
        self.ended: dict[tuple[object, int], Ended] = {}
        self.output_tokens: dict[tuple[object, int], int] = {}
        self.scopes: dict[tuple[object, int], str] = {}
        self.steps: list[StepResult] = []

    def _tick(self) -> int:
        self._now_ns += 1000
        return self._now_ns

    def _scope_of(self, sequence: int) -> str:
        request = self.slots[sequence].request
        assert request is not None
        return self.scopes[request.owner, request.request_id]

    @property
    def slots(self) -> list:  # type: ignore[type-arg]
        return self.loop._table._slots

    def start(self, id_: int, prompt: list[int], tokens: int = 8, *, owner: object = OWNER, **changes: object) -> bool:
        ids = np.asarray(prompt, "<i4").tobytes()
        fields = {"sampling": Sampling(seed=1), "cache_scope": "a"} | changes
        taken = self.loop.start(owner, Start(id=id_, token_ids=(ids,), max_output_tokens=tokens, **fields))  # type: ignore[arg-type]
        if taken:
            self.scopes[owner, id_] = str(fields["cache_scope"])
        return taken

    def step(self, interrupt: Callable[[], bool] = lambda: False) -> StepResult:
        result = self.loop.step(interrupt)
        self.steps.append(result)
        for owner, output in result.outputs:
            key = (owner, output.id)
            assert key not in self.ended
            self.texts[key] = self.texts.get(key, "") + output.text
            self.logprobs.setdefault(key, []).extend(output.logprobs)
            self.output_tokens[key] = self.output_tokens.get(key, 0) + output.output_tokens
        self.ended |= {(owner, ended.id): ended for owner, ended in result.ended}
        outside = self.loop._table._outside
        assert outside.used_bytes <= self.idle_bytes
        for slot in self.slots:
            held = slot.tokens[: slot.cached].tolist()
            assert self.backend.tokens(slot.index) == ([] if slot.is_outside else held)
            assert slot.is_outside == (slot.index in outside._states)
            if slot.is_outside:
                assert slot.state is SlotState.IDLE
                assert outside._states[slot.index][::2].tolist() == held
        assert self.loop._table.free_cells == self.loop._table.cells - self.backend.used_cells() >= 0
        busy = [slot for slot in self.slots if slot.state is not SlotState.IDLE]
        running = [slot.last_used for slot in busy if slot.state is not SlotState.PARKED]
        parked = [slot.last_used for slot in busy if slot.state is SlotState.PARKED]
        assert not (running and parked) or max(running) < min(parked)
        return result

    def finish(self) -> None:
        while self.loop.has_work:
            self.step()

    def text(self, output: list[int]) -> str:
        return "".join(chr(0x40 + token % 64) for token in output)


def test_output_is_what_the_request_alone_would_get() -> None:
    run = Run()
    prompts = {id_: [id_ + 1, 2, 3] for id_ in range(8)}
    for id_, prompt in prompts.items():
        assert run.start(id_, prompt, 16)
    run.finish()

    for id_, prompt in prompts.items():
        output, reason = expected_output(prompt, 16, run.context, ends=False)
        ended = run.ended[OWNER, id_]
        assert run.texts[OWNER, id_] == run.text(output)
        assert np.frombuffer(ended.token_ids, "<i4").tolist() == output
        assert (ended.reason, ended.output_tokens, ended.prompt_tokens) == (reason, 16, 3)
        assert run.output_tokens[OWNER, id_] == 16
    counters = run.loop.counters()
    assert counters.output_tokens == 8 * 16
    assert counters.output_tokens >= 4 * counters.decode_calls
    assert (counters.started, counters.ended, counters.cancelled, counters.busy_slots) == (8, 8, 0, 0)
    assert all(chain.is_closed for chain in run.backend.chains)


def test_figures_of_a_step() -> None:
    run = Run(slots=2)
    run.start(1, [1, 2, 3], 4)
    first = run.step()
    run.step()  # tells what a step without prompt rows takes
    run.start(2, [9, 9, 9, 9], 4)
    second = run.step()

    assert (first.decode_rows, first.prefill_rows, first.output_tokens, first.busy_slots, first.slots) == (
        0,
        3,
        1,
        1,
        2,
    )
    assert (second.decode_rows, second.prefill_rows, second.output_tokens, second.busy_slots) == (1, 4, 2, 2)
    assert second.step_ns > 0
    assert run.loop.adapters == ()


def test_no_slot_is_free_and_nothing_is_queued() -> None:
    run = Run(slots=1)
    assert run.start(1, [1])
    assert not run.start(2, [2])
    run.finish()
    assert run.start(3, [3])
    run.finish()

    assert (OWNER, 2) not in run.ended
    assert run.ended[OWNER, 3].reason == "length"


def test_a_prompt_beyond_the_batch_comes_in_chunks() -> None:
    run = Run(batch=64)
    run.start(1, [5] * 150, 2)
    rows = [run.step().prefill_rows for _ in range(3)]

    assert rows == [64, 64, 22]


def test_an_end_token_stops_and_is_counted_but_not_sent() -> None:
    prompt = next([n, m] for n in range(64) for m in range(64) if next_token([n, m]) == END)
    run = Run(FakeBackend(ends=True))
    run.start(1, prompt, 8)
    run.finish()

    ended = run.ended[OWNER, 1]
    assert (ended.reason, ended.output_tokens, ended.token_ids) == ("stop", 1, b"")
    assert run.texts == {}


def test_the_full_context_ends_with_length() -> None:
    run = Run(context=16, batch=16)
    run.start(1, [1] * 10, 100)
    run.finish()

    assert (run.ended[OWNER, 1].reason, run.ended[OWNER, 1].output_tokens) == ("length", 6)


def test_a_cap_of_zero_only_reads_the_prompt() -> None:
    run = Run()
    run.start(1, [1, 2], 0)
    run.finish()

    assert (run.ended[OWNER, 1].reason, run.ended[OWNER, 1].output_tokens) == ("length", 0)


def test_a_stop_string_ends_the_text_before_it() -> None:
    run = Run()
    output, _ = expected_output([1, 2], 12, run.context, ends=False)
    text = run.text(output)
    run.start(1, [1, 2], 12, sampling=Sampling(seed=1, stop=(text[4:7],)))
    run.finish()

    assert run.texts[OWNER, 1] == text[: text.index(text[4:7])]
    assert run.ended[OWNER, 1].reason == "stop"


def test_held_text_is_sent_at_the_cap() -> None:
    run = Run()
    output, _ = expected_output([1, 2], 6, run.context, ends=False)
    text = run.text(output)
    run.start(1, [1, 2], 6, sampling=Sampling(seed=1, stop=(text[5] + "never",)))
    run.finish()

    assert run.texts[OWNER, 1] == text
    assert run.ended[OWNER, 1].reason == "length"
    assert run.output_tokens[OWNER, 1] == 6


def test_logprobs_name_the_chosen_and_the_likeliest() -> None:
    run = Run()
    run.start(1, [1, 2], 3, top_logprobs=2)
    run.start(2, [1, 2], 3, top_logprobs=0)
    run.start(3, [1, 2], 3)
    run.finish()

    output, _ = expected_output([1, 2], 3, run.context, ends=False)
    for logprob, token in zip(run.logprobs[OWNER, 1], output, strict=True):
        assert logprob.token_bytes == run.backend.piece(token)
        assert logprob.top[0].token_bytes == logprob.token_bytes
        assert [entry.token for entry in logprob.top[1:]] == ["<end>"]
        assert logprob.logprob > logprob.top[1].logprob
    assert [len(logprob.top) for logprob in run.logprobs[OWNER, 2]] == [0, 0, 0]
    assert run.logprobs[OWNER, 3] == []


def test_a_cancelled_request_frees_its_slot_at_once_and_gets_no_ending() -> None:
    run = Run(slots=1)
    run.start(1, [1], 100)
    run.step()
    run.loop.cancel(OWNER, 99)
    run.loop.cancel(OWNER, 1)
    assert run.start(2, [2], 1)
    run.finish()

    assert (OWNER, 1) not in run.ended
    assert (OWNER, 2) in run.ended
    assert run.loop.counters().cancelled == 1


def test_a_cancel_that_empties_the_worker_is_still_reported() -> None:
    run = Run()
    run.start(1, [1], 100)
    run.step()
    run.loop.cancel(OWNER, 1)

    assert run.loop.has_work
    last = run.step()
    assert (last.busy_slots, last.decode_rows, last.step_ns) == (0, 0, 0)
    assert not run.loop.has_work


def test_a_dropped_owner_loses_all_slots_others_none() -> None:
    run = Run()
    run.start(1, [1], 4, owner="left")
    run.start(2, [2], 4, owner="left")
    run.start(1, [3], 4, owner="right")
    run.step()
    run.loop.drop("left")
    run.finish()

    assert list(run.ended) == [("right", 1)]
    assert run.loop.counters().cancelled == 2


def test_what_cannot_run_ends_with_a_fault() -> None:
    run = Run(context=8)
    assert run.start(1, [1] * 8)
    assert run.start(2, [64])
    assert run.start(3, [-1])
    assert run.start(4, [])
    assert run.start(5, [1], grammar="bad")
    assert run.loop.start(OWNER, Start(id=6, token_ids=(), sampling=Sampling(), max_output_tokens=1, cache_scope=""))
    assert run.loop.start(
        OWNER, Start(id=7, token_ids=(b"abc",), sampling=Sampling(), max_output_tokens=1, cache_scope="")
    )
    assert run.loop.has_work
    run.step()

    faults = {id_: ended.fault for (_, id_), ended in run.ended.items()}
    assert faults == {
        1: "the prompt of 8 tokens fills the context of 8",
        2: "a token id is outside the model's vocabulary",
        3: "a token id is outside the model's vocabulary",
        4: "a prompt must be a whole number of int32 ids, at least one",
        5: "the grammar does not compile",
        6: "a chat worker takes one sequence",
        7: "a prompt must be a whole number of int32 ids, at least one",
    }
    assert run.loop.counters().started == 0


def test_an_id_that_is_running_is_refused() -> None:
    run = Run()
    run.start(1, [1], 4)
    run.start(1, [2], 4)
    run.step()

    assert run.ended[OWNER, 1].fault == "request 1 is running already"


def test_a_grammar_without_a_next_token_ends_only_its_request() -> None:
    run = Run()
    run.start(1, [1], 4, grammar="dead end")
    run.start(2, [2], 4)
    run.finish()

    assert run.ended[OWNER, 1].fault == "the grammar allows no further token"
    assert run.ended[OWNER, 2].reason == "length"


# ---- prefixes


def test_a_prefix_is_kept_in_its_slot() -> None:
    run = Run(slots=2)
    run.start(1, [7] * 20 + [1], 2)
    run.finish()
    run.start(2, [7] * 20 + [2], 2)
    run.finish()

    assert run.ended[OWNER, 2].cached_tokens == 20
    assert run.backend.copies == []
    assert run.loop.counters().cached_tokens == 20


def test_the_last_prompt_token_is_always_computed() -> None:
    run = Run()
    run.start(1, [1, 2, 3], 2)
    run.finish()
    run.start(2, [1, 2, 3], 2)
    run.finish()

    assert run.ended[OWNER, 2].cached_tokens == 2
    assert run.texts[OWNER, 1] == run.texts[OWNER, 2]


def test_a_prefix_of_a_running_slot_is_copied() -> None:
    run = Run()
    run.start(1, [7] * 20 + [1], 50)
    run.step()
    run.step()
    run.start(2, [7] * 20 + [2], 2)
    result = run.step()

    assert run.backend.copies == [(0, 1, 20)]
    assert (result.cached_tokens, result.prefill_rows) == (20, 1)


def test_no_prefix_crosses_scopes() -> None:
    run = Run(slots=2)
    run.start(1, [7] * 20 + [1], 50)
    run.step()
    run.start(2, [7] * 20 + [2], 2, cache_scope="b")
    run.finish()
    run.start(3, [7] * 20 + [3], 2, cache_scope="c")
    run.finish()

    assert run.backend.copies == []
    assert [run.ended[OWNER, id_].cached_tokens for id_ in (2, 3)] == [0, 0]


def test_a_model_that_cannot_cut_reuses_nothing() -> None:
    run = Run(FakeBackend(ends=False, reuses_prefixes=False))
    run.start(1, [7] * 20 + [1], 2)
    run.finish()
    run.start(2, [7] * 20 + [2], 2)
    run.finish()

    assert run.ended[OWNER, 2].cached_tokens == 0


def test_siblings_wait_for_the_one_that_computes_their_prefix() -> None:
    run = Run(batch=64)
    for id_ in range(4):
        run.start(id_, [7] * 150 + [id_], 2)
    run.finish()

    assert run.loop.counters().prefill_tokens == 151 + 3
    assert [run.ended[OWNER, id_].cached_tokens for id_ in range(4)] == [0, 150, 150, 150]
    for id_ in range(4):
        output, _ = expected_output([7] * 150 + [id_], 2, run.context, ends=False)
        assert run.texts[OWNER, id_] == run.text(output)


def test_a_waiting_sibling_goes_on_when_its_leader_is_cancelled() -> None:
    run = Run(batch=64)
    run.start(1, [7] * 150 + [1], 2)
    run.start(2, [7] * 150 + [2], 2)
    run.step()
    assert run.slots[1].state is SlotState.WAITING
    run.loop.cancel(OWNER, 1)
    run.finish()

    assert run.ended[OWNER, 2].cached_tokens == 64  # what the leader had computed by then
    assert run.ended[OWNER, 2].reason == "length"


# ---- prefixes outside


def test_an_idle_prefix_leaves_its_cells_and_is_found_as_before() -> None:
    run = Run(slots=3, idle_bytes=10**6)
    run.start(1, [7] * 20 + [1], 2)
    run.finish()
    run.start(2, [8] * 20, 50)
    run.step()
    assert [slot.is_outside for slot in run.slots] == [True, False, False]
    before = run.loop.counters()
    assert (before.idle_bytes > 0, before.idle_moves) == (True, 1)
    run.start(3, [7] * 20 + [2], 2)  # in its own slot
    run.step()
    assert (run.ended[OWNER, 1].cached_tokens, run.slots[0].is_outside, run.backend.loads) == (0, False, 1)
    after = run.loop.counters()
    assert (after.idle_bytes, after.idle_moves) == (0, 2)
    run.start(4, [7] * 20 + [3], 2)  # from its cells
    run.finish()

    assert [run.ended[OWNER, id_].cached_tokens for id_ in (3, 4)] == [20, 20]
    assert run.backend.copies == [(0, 2, 20)]
    assert run.backend.loads == 1


def test_a_part_of_what_lies_outside_goes_to_another_slot_and_the_whole_stays_there() -> None:
    run = Run(slots=3, idle_bytes=10**6)
    run.start(1, [7] * 20 + [1] * 60, 2)
    run.finish()
    run.start(2, [8] * 20, 50)
    run.step()
    run.start(3, [7] * 20 + [2], 2)
    run.step()
    run.start(4, [7] * 20 + [1] * 60, 2, cache_scope="b")
    run.finish()

    assert (run.ended[OWNER, 3].cached_tokens, run.ended[OWNER, 4].cached_tokens, run.backend.loads) == (20, 0, 1)
    assert run.backend.copies == []


def test_what_does_not_come_back_is_computed_again_and_charged_once() -> None:
    for prompt in ([7] * 20 + [1] * 60, [7] * 20 + [2]):  # in its own slot, and into another
        run = Run(slots=3, idle_bytes=10**6)
        run.start(1, [7] * 20 + [1] * 60, 2)
        run.finish()
        run.start(2, [8] * 20, 50)
        run.step()
        run.backend.refused_loads.append(True)
        run.start(3, prompt, 2)
        run.finish()
        ended = run.ended[OWNER, 3]

        assert (ended.cached_tokens, run.backend.loads, run.backend.copies) == (0, 0, [])
        assert run.texts[OWNER, 3] == run.text(expected_output(prompt, 2, run.context, ends=False)[0])
        assert run.loop.counters().prefill_tokens == 80 + 20 + len(prompt)
        assert run.loop.counters().recomputed_tokens == 0


def test_a_prefix_without_cells_to_come_back_to_does_not() -> None:
    run = Run(slots=2, context=100, cells=100, idle_bytes=10**6)
    run.start(1, [7] * 50, 1)
    run.finish()
    run.start(2, [8] * 60, 30)
    run.step()
    assert run.slots[0].is_outside
    run.start(3, [7] * 49 + [1], 1)
    run.finish()

    assert (run.ended[OWNER, 3].cached_tokens, run.backend.loads, run.ended[OWNER, 3].reason) == (0, 0, "length")


def test_nobody_waits_for_more_than_one_copy_a_step() -> None:
    run = Run(slots=4, idle_bytes=10**6)
    for id_ in (1, 2, 3):
        run.start(id_, [id_] * 20, 3)
    run.finish()
    run.start(4, [9] * 20, 50)
    run.step()
    assert sum(slot.is_outside for slot in run.slots) == 3
    for id_ in (5, 6):
        run.start(id_, [id_] * 4, 1)
    outside = []
    for _ in range(12):
        run.step()
        outside.append(sum(slot.is_outside for slot in run.slots))
    assert [left for left, before in zip(outside, [0, *outside], strict=False) if left != before] == [1, 2, 3]


def test_a_worker_with_eyes_moves_nothing() -> None:
    run = Run(slots=2, idle_bytes=10**6)
    run.loop.see_with(NoEyes())
    run.start(1, [7] * 20, 1)
    run.finish()
    run.start(2, [8] * 20, 1)
    run.finish()

    assert [len(run.backend.tokens(index)) for index in (0, 1)] == [20, 20]


class NoEyes:
    """Sees nothing."""

    tokens = 1

    def look(self, sequence: int, position: int, picture: object) -> int:
        raise AssertionError("nobody sent a picture")


# ---- decodes that are not done


def test_an_interrupted_prefill_is_computed_again() -> None:
    run = Run()
    run.start(1, [3] * 30, 8)
    run.step()
    run.step()
    run.start(2, [4] * 30, 8, cache_scope="b")
    gave_up = run.step(lambda: True)
    after = run.step(lambda: True)  # runs through: two in a row would let a caller starve the others
    run.finish()

    assert run.backend.interrupted == 1
    assert (gave_up.step_ns, gave_up.decode_rows, gave_up.output_tokens) == (0, 0, 0)
    assert (after.decode_rows, after.prefill_rows) == (1, LEAST_ROWS)
    for id_, token in ((1, 3), (2, 4)):
        output, _ = expected_output([token] * 30, 8, run.context, ends=False)
        assert run.texts[OWNER, id_] == run.text(output)


def test_an_interruption_that_cost_nobody_anything_protects_nobody() -> None:
    run = Run()
    for id_ in range(3):
        run.start(id_, [3 + id_] * 30, 8)
        run.step(lambda: True)
        run.loop.cancel(OWNER, id_)
    run.finish()

    assert run.backend.interrupted == 3
    assert run.loop.counters().cancelled == 3


def test_only_a_step_with_prompt_rows_can_be_interrupted() -> None:
    run = Run()
    run.start(1, [3], 4)
    assert run.loop.would_interrupt(OWNER, 1)
    assert run.loop.would_interrupt(OWNER, None)
    assert not run.loop.would_interrupt(OWNER, 2)
    assert not run.loop.would_interrupt("other", None)
    run.step()
    assert not run.loop.would_interrupt(OWNER, 1)
    run.step(lambda: True)

    assert run.backend.interrupted == 0


def test_without_room_the_oldest_idle_prefix_is_forgotten() -> None:
    run = Run(FakeBackend(50, ends=False), slots=3)
    run.start(1, [1] * 15, 1)
    run.finish()
    run.start(2, [2] * 15, 1)
    run.finish()
    run.start(3, [3] * 30, 1)
    run.finish()

    assert run.ended[OWNER, 3].reason == "length"
    assert [len(run.backend.tokens(index)) for index in range(3)] == [0, 15, 30]


def expect_all_as_if_alone(run: Run, prompts: dict[int, list[int]], limit: int) -> None:
    """Nothing lost, nothing sent twice, nothing charged twice."""
    for id_, prompt in prompts.items():
        output, reason = expected_output(prompt, limit, run.context, ends=False)
        ended = run.ended[OWNER, id_]
        assert run.texts[OWNER, id_] == run.text(output)
        assert np.frombuffer(ended.token_ids, "<i4").tolist() == output
        assert (ended.reason, ended.output_tokens, ended.prompt_tokens) == (reason, len(output), len(prompt))
        assert run.output_tokens[OWNER, id_] == len(output)
    counters = run.loop.counters()
    assert counters.output_tokens == sum(ended.output_tokens for ended in run.ended.values())
    assert counters.prefill_tokens + counters.cached_tokens == sum(map(len, prompts.values()))
    assert counters.cached_tokens == sum(ended.cached_tokens for ended in run.ended.values())
    assert sum(step.prefill_rows for step in run.steps) == counters.prefill_tokens + counters.recomputed_tokens
    assert all(chain.is_closed for chain in run.backend.chains)


def test_where_llama_finds_no_room_the_youngest_is_parked_and_comes_back() -> None:
    run = Run(FakeBackend(46, ends=False), slots=3)
    prompts = {id_: [id_] * 15 for id_ in (1, 2, 3)}
    for id_, prompt in prompts.items():
        run.start(id_, prompt, 8)
        run.step()
    run.finish()

    expect_all_as_if_alone(run, prompts, 8)
    assert run.loop.counters().parked > 0


def test_a_full_memory_parks_the_youngest_and_everybody_gets_the_text_of_running_alone() -> None:
    run = Run(FakeBackend(160, ends=False), slots=4, context=100, cells=160)
    prompts = {id_: [id_] * 5 for id_ in (1, 2, 3, 4)}
    for id_, prompt in prompts.items():
        run.start(id_, prompt, 90)
    run.finish()

    expect_all_as_if_alone(run, prompts, 90)
    counters = run.loop.counters()
    assert (counters.parked, counters.recomputed_tokens) == (4, 248)
    assert list(run.ended) == [(OWNER, id_) for id_ in (1, 2, 3, 4)]
    assert max(run.backend.batches) <= 64


def test_the_sampler_of_a_parked_request_sees_every_token_once() -> None:
    run = Run(slots=4, context=100, cells=120)
    for id_ in (1, 2, 3, 4):
        run.start(id_, [id_] * 5, 90)
    run.finish()

    assert run.loop.counters().parked > 0
    for id_, chain in zip((1, 2, 3, 4), run.backend.chains, strict=True):
        assert chain.accepted == expected_output([id_] * 5, 90, 100, ends=False)[0]


def test_the_time_parked_is_neither_prefill_nor_decode() -> None:
    run = Run(slots=2, context=100, cells=100)
    run.start(1, [1] * 5, 90)
    run.start(2, [2] * 60, 30)  # cannot begin beside the first
    run.finish()
    first, second = run.ended[OWNER, 1], run.ended[OWNER, 2]

    assert run.loop.counters().parked == 0
    assert second.prefill_ns < first.decode_ns / 10
    assert first.prefill_ns > 0 < second.decode_ns


def test_the_time_parked_between_two_tokens_is_not_counted() -> None:
    run = Run(slots=2, context=100, cells=100)
    run.start(1, [1] * 5, 90)
    run.start(2, [2] * 5, 70)
    while run.slots[1].state is not SlotState.PARKED:
        run.step()
    for _ in range(20):
        run.step()
    run.finish()

    assert run.loop.counters().parked == 1
    step_ns = run.ended[OWNER, 1].decode_ns / 89
    assert run.ended[OWNER, 2].decode_ns < 80 * step_ns


def test_a_parked_request_holds_its_slot_and_can_be_cancelled() -> None:
    run = Run(slots=2, context=100, cells=100)
    run.start(1, [1] * 50, 40)
    run.start(2, [2] * 50, 40)
    run.step()
    assert run.slots[1].state is SlotState.PARKED
    assert not run.start(3, [3], 1)
    assert run.steps[-1].busy_slots == 2
    assert not run.loop.would_interrupt(OWNER, 2)
    run.loop.cancel(OWNER, 2)
    assert run.start(3, [3], 1)
    run.finish()

    assert [id_ for _, id_ in run.ended] == [3, 1]
    assert run.loop.counters().cancelled == 1


def test_a_parked_request_goes_with_its_connection() -> None:
    run = Run(slots=3, context=100, cells=100)
    run.start(1, [1] * 50, 40)
    run.start(2, [2] * 50, 40, owner="left")
    run.start(3, [3] * 40, 8)
    run.step()
    run.loop.drop("left")
    run.finish()

    assert [id_ for _, id_ in run.ended] == [1, 3]


def test_parked_ones_begin_before_new_work() -> None:
    run = Run(slots=3, context=100, cells=100)
    run.start(1, [1] * 50, 20)
    run.start(2, [2] * 60, 4)
    run.step()
    run.start(3, [3] * 2, 1)  # would fit, but comes later
    run.finish()

    assert [id_ for _, id_ in run.ended] == [1, 3, 2]  # the last two begin together, and 3 is short
    assert run.loop.counters().parked == 0


def test_siblings_with_a_shared_prompt_share_its_cells() -> None:
    run = Run(FakeBackend(250, ends=False), slots=4, context=256, cells=250)
    prompts = {id_: [7] * 200 + [id_] for id_ in range(4)}
    for id_, prompt in prompts.items():
        run.start(id_, prompt, 8)
    run.finish()

    expect_all_as_if_alone(run, prompts, 8)
    assert (run.loop.counters().parked, run.loop.counters().prefill_tokens) == (0, 204)


def test_who_alone_fills_all_memory_ends_with_what_it_has() -> None:
    run = Run(FakeBackend(40, ends=False), slots=2, context=100, cells=40)
    run.start(1, [1] * 10, 80)
    run.finish()

    assert (run.ended[OWNER, 1].reason, run.ended[OWNER, 1].output_tokens) == ("length", 31)


def test_a_prompt_that_does_not_fit_all_memory_is_told_so() -> None:
    run = Run(slots=2, context=100, cells=40)
    run.start(1, [1] * 60, 80)
    run.start(2, [2] * 10, 4)
    run.finish()

    assert run.ended[OWNER, 1].fault == "the prompt of 60 tokens does not fit into memory for 40"
    assert run.ended[OWNER, 2].reason == "length"


def test_the_pace_of_prompts_follows_the_measured_times() -> None:
    run = Run(slots=2, batch=512, context=2000)
    run.start(1, [1], 200)
    for _ in range(5):
        run.step()
    run.start(2, [2] * 1500, 2)
    rows = [run.step().prefill_rows for _ in range(4)]

    assert 0 < rows[0] < 511
    assert rows[-1] > 0


def test_a_failed_decode_ends_those_in_the_batch() -> None:
    run = Run()
    run.start(1, [1] * 5, 8)
    run.backend.codes.append(-3)
    run.step()
    run.start(2, [1] * 5, 8)
    run.finish()

    assert run.ended[OWNER, 1].fault == "llama_decode failed with -3"
    assert run.ended[OWNER, 2].reason == "length"
    assert run.ended[OWNER, 2].cached_tokens == 0
    assert (NO_ROOM, ABORTED) == (1, 2)


def test_a_memory_that_cannot_rewind_is_filled_anew() -> None:
    run = Run()
    run.backend.cuts = False
    run.start(1, [3] * 30, 8)
    run.step()
    run.start(2, [4] * 30, 8, cache_scope="b")
    run.step(lambda: True)
    run.finish()

    for id_, token in ((1, 3), (2, 4)):
        output, _ = expected_output([token] * 30, 8, run.context, ends=False)
        assert run.texts[OWNER, id_] == run.text(output)


acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("start"),
            st.lists(st.integers(1, 3), min_size=1, max_size=40).map(lambda tail: [9] * (5 * (len(tail) % 9)) + tail),
            st.sampled_from(["a", "b"]),
            st.integers(1, 12),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("step"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    acts=acts,
    capacity=st.sampled_from([110, 10**9]),
    cells=st.sampled_from([0, 100, 150]),
    ends=st.booleans(),
    idle_bytes=st.sampled_from([0, 60, 10**9]),
    refused=st.lists(st.booleans(), max_size=6),
)
def test_whatever_happens_no_output_is_mixed_and_no_scope_crossed(
    acts: list,  # type: ignore[type-arg]
    capacity: int,
    cells: int,
    ends: bool,
    idle_bytes: int,
    refused: list[bool],
) -> None:
    """For any sequence of starts, cancels and interrupts, and of prefixes that leave and do not come back: who ends
    well got exactly the output of running alone."""
    backend = FakeBackend(capacity, ends=ends)
    backend.refused_loads.extend(refused)
    run = Run(backend, slots=3, context=100, batch=16, cells=cells, idle_bytes=idle_bytes)
    started: dict[int, tuple[list[int], int]] = {}
    for number, act in enumerate(acts):
        if act[0] == "start" and run.start(number, act[1], act[3], cache_scope=act[2]):
            started[number] = (act[1], act[3])
        elif act[0] == "cancel":
            run.loop.cancel(OWNER, act[1])
        elif act[0] == "step":
            run.step(lambda act=act: act[1])
    run.finish()

    for (_, number), ended in run.ended.items():
        prompt, limit = started[number]
        output, reason = expected_output(prompt, limit, run.context, ends=ends)
        assert not ended.fault
        assert run.texts.get((OWNER, number), "") == run.text(output)
        assert ended.reason == reason
        assert 0 <= ended.cached_tokens < len(prompt)
    counters = run.loop.counters()
    assert counters.started == len(started) == counters.ended + counters.cancelled
    assert counters.recomputed_tokens == 0 or counters.parked > 0
    assert all(chain.is_closed for chain in run.backend.chains)
