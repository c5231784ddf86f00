"""Which prefixes leave the context memory, and in which order."""

from engine.batching.cell_account import CellAccount
from engine.batching.idle_memory import to_move_out
from engine.batching.slot import Slot, SlotState

IDLE, DECODE, PREFILL = SlotState.IDLE, SlotState.DECODE, SlotState.PREFILL


def slot(index: int, state: SlotState, *, cached: int = 10, used: int = 0, outside: bool = False) -> Slot:
    made = Slot(index, 64)
    made.state, made.cached, made.last_used, made.is_outside = state, cached, used, outside
    return made


def leaving(*slots: Slot, shared: tuple[tuple[int, int, int], ...] = ()) -> list[int]:
    """Who leaves where `shared` names source, target and first tokens that both hold."""
    account = CellAccount(1000)
    targets = {target: tokens for _, target, tokens in shared}
    for each in slots:
        if each.index not in targets and not each.is_outside:
            account.grow(each.index, each.cached)
    for source, target, tokens in shared:
        account.copy(source, target, tokens)
        account.grow(target, next(each.cached for each in slots if each.index == target) - tokens)
    return [each.index for each in to_move_out(slots, account)]


def test_idle_prefixes_leave_the_one_unused_for_longest_first() -> None:
    idle = [slot(0, IDLE, used=5), slot(1, IDLE, used=2), slot(2, IDLE, used=9)]
    others = [slot(3, PREFILL), slot(4, IDLE, cached=0), slot(5, IDLE, used=1, outside=True)]

    assert leaving(*idle, *others) == [1, 0, 2]
    assert leaving(*others) == []


def test_one_a_step_while_anybody_generates() -> None:
    assert leaving(slot(0, IDLE, used=5), slot(1, IDLE, used=2), slot(2, DECODE)) == [1]


def test_what_mostly_lies_in_cells_of_those_in_use_stays() -> None:
    running = slot(2, SlotState.PARKED, cached=20)
    mostly, half = slot(0, IDLE, cached=20, used=1), slot(1, IDLE, cached=20, used=2)

    assert leaving(running, mostly, half, shared=((2, 0, 11), (2, 1, 10))) == [1]


def test_what_only_idle_ones_share_leaves() -> None:
    assert leaving(slot(0, IDLE, cached=20), slot(1, IDLE, cached=22), shared=((0, 1, 20),)) == [0, 1]
