"""Slots: who runs where, and which tokens already in memory a new prompt may start from.

Rules:
 1. A prefix is reused only between equal `cache_scope`s. A slot remembers the scope of its tokens for as long
    as they are in memory; a slot of another scope is not even compared (a timing difference would tell one
    tenant what another one asked).
 2. At least the last prompt token is computed: its logits give the first output token.
 3. The longest prefix wins. If the slot that holds it is idle and would keep at least half of its tokens, the
    request goes there; else to an empty idle slot, or the one unused for longest, and the prefix is copied.
 4. What lies in cells is taken before what lies outside (`engine.batching.idle_memory`) and is no longer; what lies
    outside only where no more than `MOST_MOVED` tokens are moved for each that need not be computed.
 5. If a slot is just computing a still longer common prefix (by at least `WORTH_WAITING_TOKENS`), the request
    waits until it is there, instead of computing the same again beside it.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.batching.request import Request

TokenIds = NDArray[np.int32]

WORTH_WAITING_TOKENS = 32
MOST_MOVED = 64  # moving a token was measured to take an 800th of computing it; less where prompts are read faster


class SlotState(Enum):
    """Idle may still hold tokens; waiting is for a prefix another slot computes, parked for free memory."""

    IDLE = "idle"
    PARKED = "parked"
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"


class Slot:
    """One place in the batch. Its index is its sequence id.

    `tokens[:known]` are the prompt and what was generated, `tokens[:cached]` of them are in memory. `counted` of
    them were in memory before, if only until it was full: to compute them again is nobody's to pay. `is_outside`:
    they lie beside the context memory, where nothing is computed; only an idle slot's do.
    """

    __slots__ = (
        "cached",
        "counted",
        "index",
        "is_outside",
        "known",
        "last_used",
        "leader",
        "request",
        "scope",
        "state",
        "tokens",
    )

    def __init__(self, index: int, context_tokens: int) -> None:
        self.index = index
        self.state = SlotState.IDLE
        self.tokens: TokenIds = np.zeros(context_tokens, np.int32)
        self.cached = 0
        self.counted = 0
        self.known = 0
        self.scope = ""
        self.last_used = 0
        self.request: Request | None = None
        self.leader: Leader | None = None
        self.is_outside = False

    @property
    def running(self) -> "Request":
        """The request of a slot that is not idle. Raises LookupError on an idle one."""
        if self.request is None:
            raise LookupError(f"slot {self.index} is idle")
        return self.request


class Prefix(Struct, frozen=True):
    """The first `tokens` of a prompt are in memory in slot `source`."""

    source: int
    tokens: int


class Leader(Struct, frozen=True):
    """Slot `slot` computes the first `tokens` of a prompt for `request`; good until another one runs there."""

    slot: int
    tokens: int
    request: object


class Placement(Struct, frozen=True):
    """Where a request goes, and what of its prompt is in memory (None: nothing)."""

    slot: int
    prefix: Prefix | None


def common_prefix_tokens(left: TokenIds, right: TokenIds) -> int:
    """How many first tokens are equal."""
    size = min(len(left), len(right))
    differs = left[:size] != right[:size]
    first = int(differs.argmax()) if size else 0
    return first if size and differs[first] else size


def longest_prefix(slots: Iterable[Slot], prompt: TokenIds, scope: str) -> Prefix | None:
    """The longest beginning of `prompt` in memory under the same scope; the lowest slot among equals in cells."""
    best: Prefix | None = None
    for slot in sorted(slots, key=lambda slot: slot.is_outside):
        if slot.scope != scope or not slot.cached:
            continue
        tokens = common_prefix_tokens(slot.tokens[: slot.cached], prompt[:-1])
        is_worth_it = not slot.is_outside or tokens * MOST_MOVED >= slot.cached
        if tokens > (best.tokens if best else 0) and is_worth_it:
            best = Prefix(slot.index, tokens)
    return best


def find_leader(slots: Iterable[Slot], prompt: TokenIds, scope: str, have_tokens: int) -> Leader | None:
    """The slot that is computing a beginning of `prompt` worth waiting for, beyond the `have_tokens`."""
    best: Leader | None = None
    for slot in slots:
        if slot.state is not SlotState.PREFILL or slot.scope != scope:
            continue
        tokens = common_prefix_tokens(slot.tokens[: slot.known], prompt[:-1])
        gain = tokens - max(have_tokens, slot.cached, best.tokens if best else 0)
        if gain >= (1 if best else WORTH_WAITING_TOKENS):
            best = Leader(slot.index, tokens, slot.request)
    return best


def place(slots: Sequence[Slot], prompt: TokenIds, scope: str, *, reuses_prefixes: bool = True) -> Placement | None:
    """Where a request with this prompt goes, or None when every slot is busy."""
    idle = [slot for slot in slots if slot.state is SlotState.IDLE]
    if not idle:
        return None
    prefix = longest_prefix(slots, prompt, scope) if reuses_prefixes else None
    return Placement(_choose(idle, slots, prefix).index, prefix)


def _choose(idle: Sequence[Slot], slots: Sequence[Slot], prefix: Prefix | None) -> Slot:
    if prefix is not None:
        source = slots[prefix.source]
        if source.state is SlotState.IDLE and prefix.tokens * 2 >= source.cached:
            return source
    return min(idle, key=lambda slot: (slot.cached > 0, slot.last_used))
