"""States outside the context memory: a bound of bytes, and copies that fail."""

import numpy as np
from numpy.typing import NDArray

from engine.batching.outside_memory import OutsideMemory


class Memory:
    """Each sequence is so many bytes of its own number; `fault` is what saving meets."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.fault: Exception | None = None
        self.gives = True
        self.loaded: list[tuple[int, int]] = []

    def state_bytes_of(self, sequence: int) -> int:
        return self.size

    def save(self, sequence: int) -> NDArray[np.uint8] | None:
        if self.fault:
            raise self.fault
        return np.full(self.size, sequence, np.uint8) if self.gives else None

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        self.loaded.append((sequence, int(state[0])))
        return True


def test_no_more_than_the_bound() -> None:
    outside = OutsideMemory(Memory(), 25)

    assert [outside.put(sequence) for sequence in (1, 2, 3)] == [True, True, False]
    assert (outside.used_bytes, outside.is_used) == (20, True)
    outside.drop(1)
    outside.drop(9)
    assert (outside.used_bytes, outside.put(3)) == (10, True)


def test_a_state_goes_to_any_sequence_and_stays() -> None:
    memory = Memory()
    outside = OutsideMemory(memory, 100)
    outside.put(4)

    assert outside.load(4, 7)
    assert outside.load(4, 4)
    assert memory.loaded == [(7, 4), (4, 4)]
    assert outside.moves == 3
    assert outside.used_bytes == 10


def test_what_cannot_be_copied_stays_where_it_is() -> None:
    memory = Memory()
    outside = OutsideMemory(memory, 100)
    memory.fault = MemoryError()
    assert not outside.put(1)
    memory.fault, memory.gives = None, False
    assert not outside.put(1)
    assert (outside.used_bytes, outside.moves) == (0, 0)


def test_it_can_be_told_to_hold_nothing() -> None:
    outside = OutsideMemory(Memory(), 100)
    outside.keep_none()

    assert (outside.is_used, outside.put(1)) == (False, False)
