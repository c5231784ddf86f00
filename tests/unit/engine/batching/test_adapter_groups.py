"""The loop with adapters, over a deterministic model whose next token depends on the adapter in use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.batching.adapter_groups import AdapterGroups
from engine.batching.adapter_turns import MIN_TURN_STEPS
from engine.batching.batch import Batch
from engine.batching.batching import Batching
from engine.batching.request import StartRefused
from engine.frames import Ended, Start
from policies.call import Sampling
from tests.unit.engine.batching_fake import VOCABULARY, FakeBackend, next_token

NAMES = ("a:1", "b:1")
OWNER = "gateway"
STEP_NS = 1_000_000


class Adapted(FakeBackend):
    """Adds the adapter to all that is computed; refuses a batch with rows of another one, and foreign memory."""

    def __init__(self, capacity: int = 10**9) -> None:
        super().__init__(capacity, ends=False)
        self.in_use = ""
        self.used: list[str] = []
        self.loop: Batching | None = None
        self.scope_of = self._adapter_of

    def use(self, adapter: str) -> None:
        self.in_use = adapter
        self.used.append(adapter)

    def decode(self, batch: Batch, interrupt: object) -> int:
        sequences = {int(each) for each in batch.sequence_ids[: batch.rows]}
        assert {self._adapter_of(each) for each in sequences} == {self.in_use}
        return super().decode(batch, None)

    def logits(self, row: int) -> NDArray[np.float32]:
        sequence, length, _ = self._rows[row]
        logits = np.zeros(VOCABULARY, np.float32)
        logits[adapted(self.tokens(sequence)[:length], self.in_use)] = 5
        return logits

    def _adapter_of(self, sequence: int) -> str:
        assert self.loop is not None
        return str(self.loop._table._slots[sequence].running.adapter)


def adapted(history: list[int], adapter: str) -> int:
    return next_token([*history, *adapter.encode()], ends=False)


class Run:
    """A loop with adapters and what it told."""

    def __init__(self, slots: int = 8, cells: int = 0) -> None:
        self.backend = Adapted(cells or 10**9)
        self.backend.cells = cells
        self.groups = AdapterGroups(NAMES, self.backend.use)
        self._now_ns = 0
        self.loop = Batching(
            self.backend,
            slots=slots,
            context_tokens=256,
            batch_tokens=64,
            clock=self._tick,
            adapters=self.groups,
        )
        self.backend.loop = self.loop
        self.ended: dict[int, Ended] = {}
        self.prefilled = 0

    def _tick(self) -> int:
        self._now_ns += STEP_NS
        return self._now_ns

    def start(self, id_: int, prompt: list[int], adapter: str = "", tokens: int = 8) -> bool:
        ids = np.asarray(prompt, "<i4").tobytes()
        start = Start(
            id=id_,
            token_ids=(ids,),
            max_output_tokens=tokens,
            sampling=Sampling(seed=1),
            cache_scope="t",
            adapter=adapter,
        )
        return self.loop.start(OWNER, start)

    def step(self) -> int:
        """One step; returns how many rows it had."""
        result = self.loop.step(lambda: False)
        self.prefilled += result.prefill_rows
        self.ended |= {ended.id: ended for _, ended in result.ended}
        return result.decode_rows + result.prefill_rows

    def finish(self, limit: int = 3000) -> None:
        while self.loop.has_work:
            self.step()
            limit -= 1
            assert limit, "it does not come to an end"

    def output(self, id_: int) -> list[int]:
        assert self.ended[id_].fault == ""
        return list(np.frombuffer(self.ended[id_].token_ids, "<i4"))


def alone(prompt: list[int], adapter: str, tokens: int) -> list[int]:
    history = list(prompt)
    for _ in range(tokens):
        history.append(adapted(history, adapter))
    return history[len(prompt) :]


def test_each_request_is_answered_by_its_adapter_alone() -> None:
    run = Run()
    wishes = {number: ("", *NAMES)[number % 3] for number in range(8)}
    for number, adapter in wishes.items():
        assert run.start(number, [5, 6, 7], adapter, tokens=20)
    run.finish()
    for number, adapter in wishes.items():
        assert run.output(number) == alone([5, 6, 7], adapter, 20)
    assert len({tuple(run.output(number)) for number in range(3)}) == 3


def test_changes_are_few() -> None:
    run = Run()
    for number in range(6):
        run.start(number, [1, number], NAMES[number % 2], tokens=40)
    steps = 0
    while run.loop.has_work:
        run.step()
        steps += 1
    assert run.loop.counters().adapter_changes == run.groups.changes == len(run.backend.used)
    assert steps >= 80  # two groups, forty tokens each
    assert len(run.backend.used) <= -(-steps // MIN_TURN_STEPS)


def test_without_an_adapter_nothing_is_ever_set() -> None:
    run = Run()
    run.start(1, [1, 2], "")
    run.finish()
    assert run.backend.used == []
    slots = list(run.loop._table._slots)
    assert AdapterGroups().take_turn(slots[:2], slots[2:]) == (slots[:2], slots[2:])


def test_a_prefix_serves_its_own_adapter_only() -> None:
    prompt = [number % 60 for number in range(100)]
    run = Run()
    for number, adapter in enumerate(("", *NAMES)):
        run.start(number, prompt, adapter, tokens=2)
        run.finish()
        assert run.ended[number].cached_tokens == 0
    for number, adapter in enumerate(("", *NAMES), 3):
        run.start(number, prompt, adapter, tokens=2)
        run.finish()
        assert run.ended[number].cached_tokens == 99
    assert run.prefilled == 3 * 100 + 3 * 1


def test_nobody_waits_for_a_prefix_of_another_adapter() -> None:
    prompt = [number % 60 for number in range(200)]
    run = Run()
    for number, adapter in enumerate(("", "", *NAMES)):
        run.start(number, prompt, adapter, tokens=2)
    run.finish()
    assert run.prefilled == 3 * 200 + 1  # the second request under none took the first one's
    assert [run.ended[number].cached_tokens for number in range(4)] == [0, 199, 0, 0]


def test_an_adapter_that_is_not_loaded_is_refused() -> None:
    run = Run()
    assert run.start(1, [1, 2], "c:1")
    run.step()
    assert "has not loaded the adapter" in run.ended[1].fault
    assert run.loop.counters().busy_slots == 0
    with pytest.raises(StartRefused):
        AdapterGroups().require("a:1")
    AdapterGroups().require("")


def test_a_cancel_in_another_ones_turn_frees_the_slot() -> None:
    run = Run(slots=2)
    run.start(1, [1, 2], "a:1", tokens=100)
    run.start(2, [1, 2], "b:1", tokens=100)
    run.step()
    waiting = 2 if run.backend.in_use == "a:1" else 1
    run.loop.cancel(OWNER, waiting)
    assert run.start(3, [1, 2], "", tokens=1)
    run.finish()
    assert set(run.ended) == {1, 2, 3} - {waiting}


@settings(max_examples=60)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(["", *NAMES]), st.lists(st.integers(1, 3), min_size=1, max_size=70), st.integers(1, 30)
        ),
        min_size=1,
        max_size=10,
    ),
    pauses=st.lists(st.integers(0, 9), min_size=10, max_size=10),
)
def test_whatever_runs_beside_it_each_gives_what_it_gives_alone(
    requests: list[tuple[str, list[int], int]], pauses: list[int]
) -> None:
    run = Run(slots=10)
    for number, (adapter, prompt, tokens) in enumerate(requests):
        assert run.start(number, prompt, adapter, tokens)
        for _ in range(pauses[number]):
            if run.loop.has_work:
                run.step()
    run.finish()
    for number, (adapter, prompt, tokens) in enumerate(requests):
        assert run.output(number) == alone(prompt, adapter, tokens)


def test_requests_that_were_parked_go_on_under_their_own_adapter() -> None:
    """Memory for one of them and a half."""
    run = Run(slots=4, cells=150)
    for number in range(4):
        assert run.start(number, [number + 1] * 10, ("", *NAMES)[number % 3], tokens=90)
    run.finish()
    assert run.loop.counters().parked > 0
    for number in range(4):
        assert run.output(number) == alone([number + 1] * 10, ("", *NAMES)[number % 3], 90)
