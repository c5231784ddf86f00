"""Sequences that lie outside the context memory: the acts behind the decisions of `engine.batching.idle_memory`."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

State = NDArray[np.uint8]


class StateMemory(Protocol):
    """The context memory as far as states go. `save` gives None for what cannot be saved.

    `load` makes `state` all that a sequence holds; False, and the sequence is empty, when there is no room or the state
    is not taken.
    """

    def state_bytes_of(self, sequence: int) -> int: ...
    def save(self, sequence: int) -> State | None: ...
    def load(self, sequence: int, state: State) -> bool: ...


class OutsideMemory:
    """The states outside, at most `most_bytes` of them. A sequence has one or none."""

    def __init__(self, memory: StateMemory, most_bytes: int) -> None:
        self._memory = memory
        self._most_bytes = most_bytes
        self._states: dict[int, State] = {}
        self.moves = 0
        """Copies out and back that succeeded, since the start."""

    @property
    def is_used(self) -> bool:
        """Whether it may hold anything at all."""
        return self._most_bytes > 0

    @property
    def used_bytes(self) -> int:
        return sum(len(state) for state in self._states.values())

    def keep_none(self) -> None:
        """Take nothing in from now on."""
        self._most_bytes = 0

    def put(self, sequence: int) -> bool:
        """Copy what the sequence holds. False: it is beyond the bound, or cannot be copied."""
        if self.used_bytes + self._memory.state_bytes_of(sequence) > self._most_bytes:
            return False
        try:
            state = self._memory.save(sequence)
        except MemoryError:  # the process is at its cap: the prefix is as well off where it is
            return False
        if state is None:
            return False
        self._states[sequence] = state
        self.moves += 1
        return True

    def load(self, source: int, target: int) -> bool:
        """Let sequence `target` hold the state of `source`, which stays here. False: `target` is empty."""
        loaded = self._memory.load(target, self._states[source])
        self.moves += loaded
        return loaded

    def drop(self, sequence: int) -> None:
        """Forget the sequence's state, if there is one."""
        self._states.pop(sequence, None)
