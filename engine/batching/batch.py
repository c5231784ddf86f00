"""The rows of one `llama_decode`: which prompt tokens go in (decided here), and the arrays all lie in.

Every generating slot gets its one row first: nobody's next token waits for somebody's prompt. Prompt rows fill what
is left of the step's budget (`engine.batching.prefill_pace`) and of free memory, oldest request first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def plan_prefill(remaining: Sequence[tuple[int, int]], budget: int) -> list[tuple[int, int]]:
    """How many of `budget` prompt rows each slot gets: `(slot, rows)` for `(slot, tokens left)`, oldest first."""
    plan = []
    for slot, tokens in remaining:
        rows = min(tokens, budget)
        if rows <= 0:
            break
        plan.append((slot, rows))
        budget -= rows
    return plan


class Batch:
    """Arrays of one batch, made once: a prompt chunk is four slice assignments, without a ctypes loop.

    `sequence` holds addresses: row i points into a constant table of sequence ids.
    """

    def __init__(self, capacity: int, sequences: int) -> None:
        self.token = np.zeros(capacity, np.int32)
        self.position = np.zeros(capacity, np.int32)
        self.sequence_count = np.ones(capacity, np.int32)
        self.sequence = np.zeros(capacity, np.uint64)
        self.wants_result = np.zeros(capacity, np.int8)
        self._ids = np.arange(sequences, dtype=np.int32)
        self._addresses = [self._ids.ctypes.data + 4 * index for index in range(sequences)]
        self.sequence_ids = np.zeros(capacity, np.int32)  # the same as `sequence`, readable
        self.rows = 0

    def clear(self) -> None:
        self.rows = 0

    def add(self, sequence: int, tokens: NDArray[np.int32], position: int, *, results: str) -> int:
        """Append `tokens` at `position` and following; returns the last one's row.

        `results` names the rows that give logits or a vector: `none`, `last` or `all`.
        """
        begin, end = self.rows, self.rows + len(tokens)
        self.token[begin:end] = tokens
        self.position[begin:end] = np.arange(position, position + len(tokens), dtype=np.int32)
        self.sequence[begin:end] = self._addresses[sequence]
        self.sequence_ids[begin:end] = sequence
        self.wants_result[begin:end] = results == "all"  # cleared every step: the array is reused
        self.wants_result[end - 1] = results != "none"
        self.rows = end
        return end - 1
