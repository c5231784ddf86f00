"""Which prefixes that nobody runs on lie outside the context memory, and when one is worth taking back. Pure.

Why: llama.cpp's unified memory computes every row against all cells up to the last used one and masks those of other
sequences afterwards. Measured on a small model, 7,168 idle cells double the time of a prompt row and add a third to an
output token; to take 512 tokens out or back takes 1.5 ms, to compute them again 1.2 s.

Rules:
 1. Only prefixes of idle slots leave, the one unused for longest first, as long as all outside stay within a bound
    of bytes. What does not fit stays in its cells, as everything does with a bound of 0.
 2. One that shares more than half of its cells with slots in use stays: leaving frees little, and the way back
    takes cells twice.
 3. While anybody generates, one a step: copying lengthens the gap between two tokens. Else all at once, so that the
    prompt that comes next gets the first cells.
 4. It is found as any other prefix, under its own scope only. What lies in cells is taken before what lies outside.
 5. It is worth taking back unless that moves more than `MOST_MOVED` tokens for each that is then not computed.
 6. When cells run short the prefix unused for longest is forgotten, wherever it lies; its room outside is for the
    next one's (`engine.batching.parking` says who).

How much memory that is, is planned (`engine.worker_fit`). The acts are in `engine.batching.outside_memory`.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from engine.batching.cell_account import CellAccount
from engine.batching.slot import Slot, SlotState


def to_move_out(slots: Sequence[Slot], account: CellAccount) -> Iterator[Slot]:
    """The slots whose prefixes may leave before this step, in order: rules 1 to 3."""
    idle = [slot for slot in slots if slot.state is SlotState.IDLE and slot.cached and not slot.is_outside]
    in_use = [slot.index for slot in slots if slot.state is not SlotState.IDLE]
    most = 1 if any(slot.state is SlotState.DECODE for slot in slots) else len(idle)
    leaving = (slot for slot in sorted(idle, key=lambda slot: slot.last_used) if _frees_most(slot, in_use, account))
    return islice(leaving, most)


def _frees_most(slot: Slot, in_use: Sequence[int], account: CellAccount) -> bool:
    freed = account.held_by([*in_use, slot.index]) - account.held_by(in_use)
    return 2 * freed >= slot.cached
