"""All slots of one worker and what lies in their memory: the acts behind the decisions of `engine.batching.slot`.

Invariant: the memory of sequence i holds exactly `tokens[:cached]` of slot i, all of it under `scope`, and the
account of cells says the same. Where the slot `is_outside`, its cells are empty and its state outside holds that.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching.cell_account import CellAccount
from engine.batching.idle_memory import to_move_out
from engine.batching.outside_memory import OutsideMemory, StateMemory
from engine.batching.parking import running, to_begin, to_forget, to_park
from engine.batching.request import Owner, Request
from engine.batching.slot import Leader, Placement, Prefix, Slot, SlotState, find_leader, longest_prefix, place


class Memory(StateMemory, Protocol):
    """The context memory. `cut` forgets a sequence from `start` on (False: cannot cut there);
    `copy` lets `target` share the first tokens of `source`. Without `reuses_prefixes` neither is partial.
    """

    reuses_prefixes: bool

    def cut(self, sequence: int, start: int) -> bool: ...
    def copy(self, source: int, target: int, tokens: int) -> None: ...


class SlotTable:
    """The slots, and every change of who runs in them and what they remember. `cells` is what the memory holds,
    `idle_bytes` how much of idle prefixes may lie outside of it.
    """

    def __init__(self, memory: Memory, *, slots: int, context_tokens: int, cells: int = 0, idle_bytes: int = 0) -> None:
        self._memory = memory
        self._outside = OutsideMemory(memory, idle_bytes if memory.reuses_prefixes else 0)
        self._cells = CellAccount(cells or slots * context_tokens)
        self._slots = [Slot(index, context_tokens) for index in range(slots)]
        self._serial = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def busy(self) -> int:
        return sum(slot.state is not SlotState.IDLE for slot in self._slots)

    @property
    def idle_bytes(self) -> int:
        """How much of idle prefixes lies outside the cells."""
        return self._outside.used_bytes

    @property
    def idle_moves(self) -> int:
        """How often a prefix left the cells or came back."""
        return self._outside.moves

    @property
    def free_cells(self) -> int:
        return self._cells.free

    @property
    def cells(self) -> int:
        return self._cells.cells

    def generating(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.state is SlotState.DECODE]

    def prompting(self) -> list[Slot]:
        """Slots with prompt tokens to compute, oldest request first."""
        prompting = [slot for slot in self._slots if slot.state is SlotState.PREFILL]
        return sorted(prompting, key=lambda slot: slot.last_used)

    def of(self, owner: Owner, request_id: int | None = None) -> list[Slot]:
        """The slots that run this request, or (None) any of the owner's."""
        return [
            slot
            for slot in self._slots
            if slot.request is not None
            and slot.request.owner == owner
            and request_id in (None, slot.request.request_id)
        ]

    def find_place(self, prompt: NDArray[np.int32], scope: str) -> Placement | None:
        """Where a request would go, or None when every slot is busy."""
        return place(self._slots, prompt, scope, reuses_prefixes=self._memory.reuses_prefixes)

    def occupy(self, placement: Placement, request: Request, scope: str) -> None:
        """Put `request` in its slot, parked, with no more in memory than the slot's own beginning of its prompt."""
        slot = self._slots[placement.slot]
        prefix = placement.prefix
        self._remember(slot, prefix if prefix and prefix.source == slot.index else None, scope)
        slot.tokens[: len(request.prompt)] = request.prompt
        slot.known = len(request.prompt)
        slot.counted = 0
        slot.request, slot.state = request, SlotState.PARKED
        self._touch(slot)

    def to_begin(self) -> Slot | None:
        """The parked slot that may begin now, see `engine.batching.parking`."""
        return to_begin(self._slots, self._cells)

    def begin(self, slot: Slot) -> int:
        """Let a parked slot go on from the longest prefix in memory, or wait for one that is just computed; returns
        the prompt tokens this saved.
        """
        saved = 0
        if self._memory.reuses_prefixes:
            saved = self._take_prefix(slot)
            slot.leader = find_leader(self._slots, slot.tokens[: slot.known], slot.scope, slot.cached)
        slot.state = SlotState.WAITING if slot.leader else SlotState.PREFILL
        return saved

    def resolve_waiting(self) -> int:
        """Let slots go on whose leader is done or gone; returns the prompt tokens this saved."""
        saved = 0
        for slot in self._slots:
            if slot.state is SlotState.WAITING and not self._must_wait(slot):
                slot.state, slot.leader = SlotState.PREFILL, None
                saved += self._take_prefix(slot)
        return saved

    def advance(self, slot: Slot, rows: int) -> int:
        """The next `rows` tokens of the slot are in memory now; returns how many never were before."""
        self._cells.grow(slot.index, rows)
        slot.cached += rows
        fresh = max(0, slot.cached - slot.counted)
        slot.counted += fresh
        return fresh

    def park(self, slot: Slot) -> None:
        """Free the memory of a running slot; it keeps its request and tokens, and begins again later."""
        self._lose(slot)
        slot.state, slot.leader = SlotState.PARKED, None

    def release(self, slot: Slot) -> None:
        """Make the slot idle. Its tokens stay in memory as a prefix for requests of its scope."""
        slot.running.sampler.close()
        slot.request = slot.leader = None
        slot.state = SlotState.IDLE
        slot.known = slot.cached  # a token without memory is no prefix
        self._touch(slot)

    def rewind(self, slot: Slot) -> None:
        """After a batch that was not done: forget what parts of it are in memory already."""
        if not self._memory.cut(slot.index, slot.cached):
            self._lose(slot)
            slot.state = SlotState.PREFILL

    def forget(self, slot: Slot) -> None:
        """Free the memory of an idle or parked slot."""
        self._clear(slot)
        if slot.state is SlotState.IDLE:
            slot.known = 0

    def forget_oldest_prefix(self) -> bool:
        """Free the memory that goes first of what nobody runs on; False when there is none."""
        unused = to_forget(self._slots)
        if unused is not None:
            self.forget(unused)
            self.move_idle_out()
        return unused is not None

    def move_idle_out(self) -> None:
        """Let idle prefixes leave the cells, see `engine.batching.idle_memory`."""
        if not self._outside.is_used:
            return
        for slot in to_move_out(self._slots, self._cells):
            if not self._outside.put(slot.index):
                return
            self._empty(slot)
            slot.is_outside = True

    def keep_inside(self) -> None:
        """Let no prefix leave its cells from now on. To be called before any did."""
        self._outside.keep_none()

    def to_park(self) -> Slot | None:
        """The running slot that gives way; None when no more than one runs."""
        return to_park(self._slots)

    def running(self) -> list[Slot]:
        """All slots with a request that is not parked."""
        return running(self._slots)

    def _must_wait(self, slot: Slot) -> bool:
        leader = slot.leader
        return leader is not None and self._is_computing(leader, self._slots[leader.slot])

    @staticmethod
    def _is_computing(leader: Leader, source: Slot) -> bool:
        same = source.request is leader.request and source.state is SlotState.PREFILL
        return same and source.cached < leader.tokens

    def _take_prefix(self, slot: Slot) -> int:
        """Start from the longest prefix in memory; returns the tokens that were never in this slot's before."""
        if not self._start_from(slot, self._slots):
            self._start_from(slot, [each for each in self._slots if not each.is_outside])
        saved = max(0, slot.cached - slot.counted)
        slot.counted += saved
        slot.running.cached_tokens += saved
        return saved

    def _start_from(self, slot: Slot, sources: Sequence[Slot]) -> bool:
        """Take over the longest prefix of these; False when it lies outside and does not come back."""
        prefix = longest_prefix(sources, slot.tokens[: slot.known], slot.scope)
        if prefix is None or prefix.tokens <= slot.cached:
            return True
        if self._slots[prefix.source].is_outside:
            return self._recall(prefix, slot)
        self._remember(slot, prefix, slot.scope)
        return True

    def _remember(self, slot: Slot, prefix: Prefix | None, scope: str) -> None:
        """Make `prefix`, and nothing else, the slot's memory."""
        slot.scope = scope
        if prefix is not None and slot.is_outside:
            if not self._recall(prefix, slot):
                self._clear(slot)
            return
        if prefix is not None and prefix.source == slot.index and self._memory.cut(slot.index, prefix.tokens):
            self._cells.cut(slot.index, prefix.tokens)
            slot.cached = prefix.tokens
            return
        self._clear(slot)
        if prefix is not None and prefix.source != slot.index:
            self._memory.copy(prefix.source, slot.index, prefix.tokens)
            self._cells.copy(prefix.source, slot.index, prefix.tokens)
            slot.cached = prefix.tokens

    def _recall(self, prefix: Prefix, target: Slot) -> bool:
        """Make `prefix`, which lies outside, all that `target` has in its cells. False: it does not come back, and
        where llama.cpp itself refused it, it is forgotten, and `target` empty.
        """
        source = self._slots[prefix.source]
        if not self._make_room(source.cached, source, target):
            return False
        self._empty(target)
        if self._outside.load(source.index, target.index) and self._memory.cut(target.index, prefix.tokens):
            self._cells.grow(target.index, prefix.tokens)
            if source is target:
                self._outside.drop(target.index)
                target.is_outside = False
            target.cached = prefix.tokens
            return True
        self.forget(source)
        self._clear(target)
        return False

    def _make_room(self, tokens: int, source: Slot, target: Slot) -> bool:
        """Forget other idle prefixes until there are so many free cells; False when there never are."""
        others = [slot for slot in self._slots if slot.state is SlotState.IDLE and slot not in (source, target)]
        while self._cells.free < tokens and (unused := to_forget(others)) is not None:
            self.forget(unused)
        return self._cells.free >= tokens

    def _lose(self, slot: Slot) -> None:
        """Free the memory of a running slot. Its last output token, not in memory yet, is no prompt to be counted."""
        if slot.state is SlotState.DECODE:
            slot.counted = slot.known
        self._clear(slot)

    def _clear(self, slot: Slot) -> None:
        self._empty(slot)
        self._outside.drop(slot.index)
        slot.cached, slot.is_outside = 0, False

    def _empty(self, slot: Slot) -> None:
        """Free the cells of a slot."""
        self._memory.cut(slot.index, 0)
        self._cells.cut(slot.index, 0)

    def _touch(self, slot: Slot) -> None:
        self._serial += 1
        slot.last_used = self._serial
