"""The acts on slots and memory: occupy, begin, wait, advance, park, release, rewind, forget."""

import numpy as np
from numpy.typing import NDArray

from engine.batching.request import Request
from engine.batching.sampler import TokenSampler
from engine.batching.slot import SlotState
from engine.batching.slot_table import SlotTable
from engine.frames import Start
from policies.call import Sampling
from tests.unit.engine.batching_fake import FakeChain, NoCandidates


class Memory:
    """Lengths only: how much of each sequence is there."""

    reuses_prefixes = True

    def __init__(self) -> None:
        self.acts: list[tuple[str, int, int]] = []
        self.cuts = True
        self.loads = True

    def cut(self, sequence: int, start: int) -> bool:
        self.acts.append(("cut", sequence, start))
        return self.cuts or start == 0

    def copy(self, source: int, target: int, tokens: int) -> None:
        self.acts.append((f"copy to {target}", source, tokens))

    def state_bytes_of(self, sequence: int) -> int:
        return 1

    def save(self, sequence: int) -> NDArray[np.uint8]:
        return np.full(1, sequence, np.uint8)

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        self.acts.append((f"load into {sequence}", int(state[0]), 0))
        return self.loads


def request(id_: int, prompt: list[int], owner: str = "o") -> Request:
    start = Start(id=id_, token_ids=(b"",), sampling=Sampling(), max_output_tokens=1, cache_scope="a")
    sampler = TokenSampler(NoCandidates(), FakeChain(), greedy=True)
    return Request(owner, start, np.array(prompt, np.int32), sampler, 0)


def occupy(table: SlotTable, id_: int, prompt: list[int], scope: str = "a") -> Request:
    made = request(id_, prompt)
    placement = table.find_place(made.prompt, scope)
    assert placement is not None
    table.occupy(placement, made, scope)
    while (slot := table.to_begin()) is not None:
        table.begin(slot)
    return made


def test_a_slot_from_start_to_release() -> None:
    memory = Memory()
    table = SlotTable(memory, slots=2, context_tokens=16)
    made = occupy(table, 1, [5, 6, 7])
    (slot,) = table.prompting()

    assert (table.busy, len(table), slot.running) == (1, 2, made)
    assert (slot.known, slot.cached, slot.scope) == (3, 0, "a")
    table.advance(slot, 3)
    slot.state = SlotState.DECODE
    assert table.generating() == [slot]
    table.release(slot)
    assert (table.busy, slot.known, slot.state, slot.request) == (0, 3, SlotState.IDLE, None)


def test_tokens_without_memory_are_forgotten_at_release() -> None:
    table = SlotTable(Memory(), slots=1, context_tokens=16)
    occupy(table, 1, [5, 6, 7])
    (slot,) = table.prompting()
    table.advance(slot, 2)
    table.release(slot)

    assert slot.known == 2


def test_the_oldest_request_reads_first() -> None:
    table = SlotTable(Memory(), slots=3, context_tokens=16)
    for id_ in (1, 2, 3):
        occupy(table, id_, [id_])
    first = table.of("o", 1)[0]
    table.release(first)
    occupy(table, 4, [4])

    assert [slot.running.request_id for slot in table.prompting()] == [2, 3, 4]
    assert table.to_park() is table.of("o", 4)[0]


def test_slots_of_an_owner_or_of_one_request() -> None:
    table = SlotTable(Memory(), slots=3, context_tokens=16)
    occupy(table, 1, [1])
    occupy(table, 2, [2])

    assert len(table.of("o")) == 2
    assert [slot.running.request_id for slot in table.of("o", 2)] == [2]
    assert table.of("o", 3) == table.of("other") == []


def test_a_prefix_in_place_is_cut_and_one_elsewhere_copied() -> None:
    memory = Memory()
    table = SlotTable(memory, slots=2, context_tokens=16)
    occupy(table, 1, [1, 2, 3, 4])
    (slot,) = table.prompting()
    table.advance(slot, 4)
    slot.state = SlotState.DECODE
    occupy(table, 2, [1, 2, 9])
    assert memory.acts == [("cut", 0, 0), ("cut", 1, 0), ("cut", 1, 0), ("copy to 1", 0, 2)]
    table.release(slot)
    again = occupy(table, 3, [1, 2, 3, 9])

    assert memory.acts[-1] == ("cut", 0, 3)
    assert again.cached_tokens == 3


def test_a_prefix_that_cannot_be_cut_is_dropped() -> None:
    memory = Memory()
    table = SlotTable(memory, slots=1, context_tokens=16)
    occupy(table, 1, [1, 2, 3, 4])
    (slot,) = table.prompting()
    table.advance(slot, 4)
    table.release(slot)
    memory.cuts = False
    again = occupy(table, 2, [1, 2, 9])

    assert memory.acts[-2:] == [("cut", 0, 2), ("cut", 0, 0)]
    assert again.cached_tokens == slot.cached == 0


def test_waiting_ends_when_the_leader_is_there() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=256)
    occupy(table, 1, [7] * 100 + [1])
    second = occupy(table, 2, [7] * 100 + [2])
    leader = table.prompting()[0]
    assert table.resolve_waiting() == 0
    assert table.of("o", 2)[0].state is SlotState.WAITING
    table.advance(leader, 100)

    assert table.resolve_waiting() == 100
    assert second.cached_tokens == 100
    assert table.of("o", 2)[0].state is SlotState.PREFILL


def test_waiting_ends_with_nothing_when_the_leader_left_at_once() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=256)
    occupy(table, 1, [7] * 100 + [1])
    second = occupy(table, 2, [7] * 100 + [2])
    table.release(table.of("o", 1)[0])

    assert table.resolve_waiting() == 0
    assert second.cached_tokens == 0
    assert table.of("o", 2)[0].state is SlotState.PREFILL


def test_waiting_ends_when_another_request_runs_where_the_leader_was() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=256)
    occupy(table, 1, [7] * 100 + [1])
    occupy(table, 2, [7] * 100 + [2])
    table.release(table.of("o", 1)[0])
    occupy(table, 3, [7] * 100 + [3])
    table.resolve_waiting()

    assert [slot.running.request_id for slot in table.prompting()] == [2, 3]


def test_rewind_keeps_what_is_cached_where_it_can() -> None:
    memory = Memory()
    table = SlotTable(memory, slots=1, context_tokens=16)
    occupy(table, 1, [1, 2, 3, 4])
    (slot,) = table.prompting()
    table.advance(slot, 4)
    slot.state = SlotState.DECODE
    table.rewind(slot)
    assert (slot.cached, slot.state) == (4, SlotState.DECODE)
    memory.cuts = False
    table.rewind(slot)

    assert (slot.cached, slot.state) == (0, SlotState.PREFILL)


def test_forgetting_frees_the_idle_prefix_unused_for_longest() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=16)
    assert not table.forget_oldest_prefix()
    occupy(table, 1, [1, 2])
    (slot,) = table.prompting()
    table.advance(slot, 2)
    assert not table.forget_oldest_prefix()
    table.release(slot)

    assert table.forget_oldest_prefix()
    assert (slot.cached, slot.known) == (0, 0)


def test_cells_are_counted_as_they_are_taken_shared_and_freed() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=64, cells=100)
    occupy(table, 1, [1] * 40)
    (first,) = table.prompting()
    assert (table.cells, table.free_cells) == (100, 100)
    table.advance(first, 40)
    first.state = SlotState.DECODE
    occupy(table, 2, [1] * 30 + [2] * 5)
    (second,) = table.prompting()
    assert (second.cached, table.free_cells) == (30, 60)
    table.advance(second, 5)
    assert table.free_cells == 55
    table.park(first)
    assert (table.free_cells, first.cached, first.known) == (65, 0, 40)  # 30 are the other's too


def test_a_parked_request_keeps_its_tokens_and_is_charged_for_each_once() -> None:
    table = SlotTable(Memory(), slots=3, context_tokens=64, cells=40)
    occupy(table, 1, [1] * 10)
    made = occupy(table, 2, [2] * 20)
    older, younger = table.prompting()
    assert [table.advance(older, 10), table.advance(younger, 15)] == [10, 15]
    assert table.to_park() is younger
    table.park(younger)
    assert table.of("o", 2) == [younger]
    assert (younger.state, table.running(), table.to_park()) == (SlotState.PARKED, [older], None)
    assert table.begin(younger) == 0
    assert table.advance(younger, 20) == 5  # 15 of the 20 were there before
    assert (made.cached_tokens, younger.counted) == (0, 20)


def test_a_prefix_found_on_the_way_back_is_cached_as_far_as_it_is_new() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=64, cells=100)
    occupy(table, 1, [3] * 40)
    (older,) = table.prompting()
    made = occupy(table, 2, [3] * 39 + [4])
    table.advance(older, 10)
    older.leader = None
    younger = table.of("o", 2)[0]
    assert younger.state is SlotState.WAITING
    table.advance(older, 30)
    assert table.resolve_waiting() == 39
    table.park(younger)
    assert table.begin(younger) == 0
    assert (made.cached_tokens, younger.cached) == (39, 39)


def test_a_memory_without_partial_copies_begins_anew() -> None:
    memory = Memory()
    memory.reuses_prefixes = False
    table = SlotTable(memory, slots=2, context_tokens=64)
    occupy(table, 1, [3] * 40)
    made = occupy(table, 2, [3] * 40)

    assert [slot.running.request_id for slot in table.prompting()] == [1, 2]
    assert made.cached_tokens == 0


def test_what_a_parked_request_kept_goes_after_all_idle_prefixes() -> None:
    table = SlotTable(Memory(), slots=2, context_tokens=64, cells=64)
    occupy(table, 1, [5] * 30)
    (slot,) = table.prompting()
    table.advance(slot, 30)
    table.release(slot)
    occupy(table, 2, [6] * 60)
    made = request(3, [5] * 30 + [1])
    placement = table.find_place(made.prompt, "a")
    assert placement is not None
    table.occupy(placement, made, "a")  # its own beginning stays, though it cannot begin beside the other
    assert (table.to_begin(), slot.cached) == (None, 30)

    assert table.forget_oldest_prefix()
    assert (slot.cached, slot.known, slot.state) == (0, 31, SlotState.PARKED)
    assert not table.forget_oldest_prefix()


def idle_outside(memory: Memory, *, cells: int = 0) -> SlotTable:
    """A table whose slot 0 is idle, its 40 tokens outside, while slot 1 runs."""
    table = SlotTable(memory, slots=3, context_tokens=64, cells=cells, idle_bytes=1)
    occupy(table, 1, [1] * 40)
    (first,) = table.prompting()
    table.advance(first, 40)
    table.release(first)
    occupy(table, 2, [2] * 4)
    table.move_idle_out()
    memory.acts.clear()
    return table


def test_a_state_that_comes_back_takes_cells_again() -> None:
    memory = Memory()
    table = idle_outside(memory, cells=100)
    assert table.free_cells == 100
    made = occupy(table, 3, [1] * 30 + [3])

    assert memory.acts == [("cut", 0, 0), ("load into 0", 0, 0), ("cut", 0, 30)]
    assert (made.cached_tokens, table.free_cells) == (30, 70)


def test_a_state_that_llama_refuses_is_forgotten_and_another_prefix_taken() -> None:
    memory = Memory()
    table = idle_outside(memory)
    memory.loads = False
    running = table.of("o", 2)[0]
    table.advance(running, 4)
    made = request(3, [1, 2])
    occupy(table, 4, [1] * 10 + [3])  # less than half of it: into the third slot
    (third,) = table.of("o", 4)

    assert (third.index, third.cached, made.cached_tokens) == (2, 0, 0)
    assert memory.acts[-1] == ("cut", 2, 0)
    assert table.find_place(np.array([1] * 10, np.int32), "a").prefix is None  # type: ignore[union-attr]


def test_idle_prefixes_make_room_for_one_that_comes_back() -> None:
    memory = Memory()
    table = idle_outside(memory, cells=60)
    running = table.of("o", 2)[0]
    table.advance(running, 4)
    occupy(table, 3, [5] * 30)
    (third,) = table.of("o", 3)
    table.advance(third, 30)
    table.release(third)
    table.move_idle_out()  # beyond the bound of one byte
    assert (third.is_outside, table.free_cells) == (False, 26)
    made = occupy(table, 4, [1] * 39 + [3])

    assert (made.cached_tokens, third.cached, table.free_cells) == (39, 0, 60 - 4 - 39)
