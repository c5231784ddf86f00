"""Who gives way when the context memory is full, and who comes back: decisions about slots and their cells.

A slot may use up to its context as long as cells are free, so all slots together may want more than there is. Rules:
 1. First goes what nobody runs on: the idle prefix unused for longest, then what a parked request kept.
 2. Then the youngest running request is parked: its cells are freed; its slot, tokens and sampler stay. The
    oldest running request never is, so somebody always comes to an end.
 3. A parked request, and a new one likewise, begins once its tokens fit beside what all running requests hold and
    want soon: the rest of their prompts and up to `HEADROOM_TOKENS` of output each. Without that headroom it would
    come back just to be parked again. Beside nobody it begins in any case.
 4. Parked requests begin in the order of their arrival, and none overtakes another: small ones never starve a large
    one. So every running request is older than every parked one.
"""

from collections.abc import Iterable, Sequence

from engine.batching.cell_account import CellAccount
from engine.batching.slot import Slot, SlotState, find_leader, longest_prefix

RUNNING = frozenset((SlotState.WAITING, SlotState.PREFILL, SlotState.DECODE))
HEADROOM_TOKENS = 32  # steps until memory may be full again; a prompt computed again costs about as much as a few


def running(slots: Iterable[Slot]) -> list[Slot]:
    """The slots whose requests have, or are about to get, cells."""
    return [slot for slot in slots if slot.state in RUNNING]


def to_forget(slots: Sequence[Slot]) -> Slot | None:
    """The slot whose memory nobody runs on and goes first; None when there is none. One that lies outside the cells
    goes in its turn too, making room there for the next, but not where all of them do: that frees no cell.
    """
    idle = [slot for slot in slots if slot.cached and slot.state is SlotState.IDLE]
    if not all(slot.is_outside for slot in idle):
        return min(idle, key=lambda slot: slot.last_used)
    parked = [slot for slot in slots if slot.cached and slot.state is SlotState.PARKED]
    return max(parked, key=lambda slot: slot.last_used, default=None)


def to_park(slots: Iterable[Slot]) -> Slot | None:
    """The running request that gives way; None when no more than one runs."""
    candidates = running(slots)
    return max(candidates, key=lambda slot: slot.last_used) if len(candidates) > 1 else None


def to_begin(slots: Sequence[Slot], account: CellAccount) -> Slot | None:
    """The parked request that may begin now: the oldest, or none."""
    parked = [slot for slot in slots if slot.state is SlotState.PARKED]
    oldest = min(parked, key=lambda slot: slot.last_used, default=None)
    return oldest if oldest is not None and fits(oldest, running(slots), account) else None


def fits(slot: Slot, others: Sequence[Slot], account: CellAccount) -> bool:
    """Whether the parked `slot` and all `others` that run have cells for what they want soon."""
    if not others:
        return True
    own = slot.known - _shared_tokens(slot, others) + _headroom(slot)
    wanted = sum(wanted_tokens(other) for other in others)
    return account.held_by([other.index for other in others]) + wanted + own <= account.cells


def wanted_tokens(slot: Slot) -> int:
    """Cells that a running slot will want soon beyond those it holds."""
    coming = max(slot.cached, slot.leader.tokens) if slot.leader else slot.cached
    return slot.known - coming + _headroom(slot)


def _shared_tokens(slot: Slot, others: Sequence[Slot]) -> int:
    """How many first tokens others hold, or are computing."""
    tokens = slot.tokens[: slot.known]
    prefix = longest_prefix(others, tokens, slot.scope)
    held = prefix.tokens if prefix else 0
    leader = find_leader(others, tokens, slot.scope, held)
    return leader.tokens if leader else held


def _headroom(slot: Slot) -> int:
    request = slot.running
    return max(
        0, min(HEADROOM_TOKENS, request.max_output_tokens - request.output_tokens, len(slot.tokens) - slot.known)
    )
