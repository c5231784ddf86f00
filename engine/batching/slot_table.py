"""All slots of one worker and what lies in their memory: the acts behind the decisions of `engine.batching.slot`.

Invariant: the memory of sequence i holds exactly `tokens[:cached]` of slot i, all of it under `scope`.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching.request import Owner, Request
from engine.batching.slot import (
    Leader,
    Placement,
    Prefix,
    Slot,
    SlotState,
    longest_prefix,
    oldest_idle_prefix,
    place,
    youngest_running,
)


class Memory(Protocol):
    """The context memory. `cut` forgets a sequence from `start` on (False: cannot cut there);
    `copy` lets `target` share the first tokens of `source`. Without `reuses_prefixes` neither is partial.
    """

    reuses_prefixes: bool

    def cut(self, sequence: int, start: int) -> bool: ...
    def copy(self, source: int, target: int, tokens: int) -> None: ...


class SlotTable:
    """The slots, and every change of who runs in them and what they remember."""

    def __init__(self, memory: Memory, *, slots: int, context_tokens: int) -> None:
        self._memory = memory
        self._slots = [Slot(index, context_tokens) for index in range(slots)]
        self._serial = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def busy(self) -> int:
        return sum(slot.state is not SlotState.IDLE for slot in self._slots)

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
        """Put `request` in its slot, on top of the prefix it can start from."""
        slot = self._slots[placement.slot]
        self._remember(slot, placement.prefix, scope)
        slot.tokens[: len(request.prompt)] = request.prompt
        slot.known = len(request.prompt)
        slot.request, slot.leader = request, placement.leader
        request.cached_tokens = slot.cached
        slot.state = SlotState.WAITING if placement.leader else SlotState.PREFILL
        self._touch(slot)

    def resolve_waiting(self) -> int:
        """Let slots go on whose leader is done or gone; returns the prompt tokens this saved."""
        saved = 0
        for slot in self._slots:
            if slot.state is SlotState.WAITING and not self._must_wait(slot):
                saved += self._catch_up(slot, slot.running)
        return saved

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
            self._memory.cut(slot.index, 0)
            slot.cached, slot.state = 0, SlotState.PREFILL

    def forget(self, slot: Slot) -> None:
        """Free the memory of an idle slot."""
        self._memory.cut(slot.index, 0)
        slot.cached = slot.known = 0

    def forget_oldest_prefix(self) -> bool:
        """Free the memory of the idle slot unused for longest; False when no idle slot holds any."""
        idle = oldest_idle_prefix(self._slots)
        if idle is not None:
            self.forget(idle)
        return idle is not None

    def youngest(self) -> Slot | None:
        """The running slot that began last."""
        return youngest_running(self._slots)

    def _must_wait(self, slot: Slot) -> bool:
        leader = slot.leader
        return leader is not None and self._is_computing(leader, self._slots[leader.slot])

    @staticmethod
    def _is_computing(leader: Leader, source: Slot) -> bool:
        same = source.request is leader.request and source.state is SlotState.PREFILL
        return same and source.cached < leader.tokens

    def _catch_up(self, slot: Slot, request: Request) -> int:
        had = slot.cached
        prefix = longest_prefix(self._slots, request.prompt, slot.scope)
        if prefix is not None and prefix.tokens > had:
            self._remember(slot, prefix, slot.scope)
        slot.state, slot.leader = SlotState.PREFILL, None
        request.cached_tokens = slot.cached
        return slot.cached - had

    def _remember(self, slot: Slot, prefix: Prefix | None, scope: str) -> None:
        """Make `prefix`, and nothing else, the slot's memory."""
        slot.scope = scope
        if prefix is not None and prefix.source == slot.index and self._memory.cut(slot.index, prefix.tokens):
            slot.cached = prefix.tokens
            return
        self._memory.cut(slot.index, 0)
        slot.cached = 0
        if prefix is not None and prefix.source != slot.index:
            self._memory.copy(prefix.source, slot.index, prefix.tokens)
            slot.cached = prefix.tokens

    def _touch(self, slot: Slot) -> None:
        self._serial += 1
        slot.last_used = self._serial
