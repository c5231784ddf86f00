"""A deterministic model: its next token depends on all tokens of its own sequence, and on nothing else.

It keeps the memory cell by cell, so that a test sees what is shared, what crosses scopes, and when it is full.
"""

import zlib
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.batching.batch import Batch
from engine.batching.sampler import SamplingFault, TokenSampler
from policies.call import Sampling

VOCABULARY = 64
END = 0


class Cell:
    """One token in memory, and the scope it was computed for."""

    def __init__(self, token: int, scope: str) -> None:
        self.token = token
        self.scope = scope


def next_token(history: Sequence[int], *, ends: bool = True) -> int:
    token = zlib.crc32(bytes(history)) % VOCABULARY
    return token if ends or token != END else 1


def expected_output(prompt: Sequence[int], limit: int, context: int, *, ends: bool = True) -> tuple[list[int], str]:
    """What a request alone would give, and why it ends."""
    history = list(prompt)
    output: list[int] = []
    while True:
        token = next_token(history, ends=ends)
        if token == END:
            return output, "stop"
        output.append(token)
        history.append(token)
        if len(output) >= limit or len(history) >= context:
            return output, "length"


class FakeChain:
    """A chain that takes the likeliest token; counts what was accepted and whether it was freed."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.is_closed = False

    def apply(self, candidates: object) -> None:
        raise AssertionError("a greedy chain is not applied")

    def accept(self, token_id: int) -> None:
        self.accepted.append(token_id)

    def close(self) -> None:
        assert not self.is_closed, "freed twice"
        self.is_closed = True


class FakeBackend:
    """See the head of the file. `codes` are results of decodes to come, `refused_loads` those of states that come back;
    `scope_of` names a sequence's scope now.
    """

    vocabulary_size = VOCABULARY

    def __init__(self, capacity: int = 10**9, *, ends: bool = True, reuses_prefixes: bool = True) -> None:
        self.capacity = capacity
        self.cells = 0
        self.idle_bytes = 0
        self.tile_rows = 0
        self.row_block = 16
        self.ends = ends
        self.reuses_prefixes = reuses_prefixes
        self.cuts = True
        self.memory: dict[int, list[Cell]] = {}
        self.copies: list[tuple[int, int, int]] = []
        self.batches: list[int] = []
        self.codes: deque[int] = deque()
        self.interrupted = 0
        self.loads = 0
        self.refused_loads: deque[bool] = deque()
        self.scope_of: Callable[[int], str] = lambda _sequence: ""
        self.chains: list[FakeChain] = []
        self._rows: list[tuple[int, int, bool]] = []

    def tokens(self, sequence: int) -> list[int]:
        return [cell.token for cell in self.memory.get(sequence, [])]

    def used_cells(self) -> int:
        return len({id(cell) for cells in self.memory.values() for cell in cells})

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        self.batches.append(batch.rows)
        if self.used_cells() + batch.rows > self.capacity:
            return 1
        if interrupt is not None and interrupt():
            self.interrupted += 1
            self._store(batch, batch.rows // 2)  # what was finished stays, as in llama.cpp
            return 2
        code = self.codes.popleft() if self.codes else 0
        if code == 0:
            self._store(batch, batch.rows)
        return code

    def _store(self, batch: Batch, rows: int) -> None:
        self._rows = []
        for row in range(rows):
            sequence = int(batch.sequence_ids[row])
            cells = self.memory.setdefault(sequence, [])
            assert int(batch.position[row]) == len(cells), "a row does not follow its sequence"
            scope = self.scope_of(sequence)
            cells.append(Cell(int(batch.token[row]), scope))
            assert {cell.scope for cell in cells} == {scope}, "memory of another scope is in use"
            self._rows.append((sequence, len(cells), bool(batch.wants_result[row])))

    def logits(self, row: int) -> NDArray[np.float32]:
        sequence, length, wanted = self._rows[row]
        assert wanted, "this row asked for no logits"
        logits = np.zeros(VOCABULARY, np.float32)
        logits[next_token(self.tokens(sequence)[:length], ends=self.ends)] = 5
        return logits

    def cut(self, sequence: int, start: int) -> bool:
        if start and not self.cuts and start != len(self.memory.get(sequence, [])):
            return False
        self.memory[sequence] = self.memory.get(sequence, [])[:start]
        return True

    def copy(self, source: int, target: int, tokens: int) -> None:
        assert not self.memory.get(target), "the target must be empty"
        self.copies.append((source, target, tokens))
        self.memory[target] = self.memory[source][:tokens]

    def state_bytes_of(self, sequence: int) -> int:
        return 2 * len(self.memory[sequence])

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """Two bytes a token: its id and its scope."""
        cells = self.memory[sequence]
        return np.array([[cell.token, ord(cell.scope or " ")] for cell in cells], np.uint8).reshape(-1)

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        self.memory[sequence] = []
        refused = self.refused_loads.popleft() if self.refused_loads else False
        if refused or self.used_cells() + len(state) // 2 > self.capacity:
            return False
        self.loads += 1
        self.memory[sequence] = [Cell(token, chr(scope).strip()) for token, scope in state.reshape(-1, 2).tolist()]
        return True

    def sampler(self, sampling: Sampling, grammar: str, prompt: NDArray[np.int32]) -> TokenSampler:
        if grammar == "bad":
            raise SamplingFault("the grammar does not compile")
        chain = FakeChain()
        self.chains.append(chain)
        if grammar == "dead end":
            return DeadEnd(chain)
        return TokenSampler(NoCandidates(), chain, greedy=True)

    def piece(self, token_id: int) -> bytes:
        return bytes([0x40 + token_id % 64])

    def spell(self, token_id: int) -> bytes:
        return b"<end>" if token_id == END else self.piece(token_id)

    def is_end(self, token_id: int) -> bool:
        return token_id == END


class NoCandidates:
    """For a sampler that never looks at candidates."""

    def fill(self, row: NDArray[np.float32]) -> None: ...
    def fill_one(self, token_id: int) -> None: ...

    def first_allowed(self) -> bool:
        return True

    def selected(self) -> tuple[int, bool]:
        return -1, False


class DeadEnd(TokenSampler):
    """A sampler whose grammar allows nothing."""

    def __init__(self, chain: FakeChain) -> None:
        super().__init__(NoCandidates(), chain, greedy=True)

    def choose(self, row: NDArray[np.float32]) -> int:
        raise SamplingFault("the grammar allows no further token")
