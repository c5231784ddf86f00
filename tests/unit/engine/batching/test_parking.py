"""Who is forgotten, who is parked, who begins."""

import numpy as np
import pytest

from engine.batching.cell_account import CellAccount
from engine.batching.parking import HEADROOM_TOKENS, fits, to_begin, to_forget, to_park, wanted_tokens
from engine.batching.request import Request
from engine.batching.sampler import TokenSampler
from engine.batching.slot import Leader, Slot, SlotState
from engine.frames import Start
from policies.call import Sampling
from tests.unit.engine.batching_fake import FakeChain, NoCandidates

CONTEXT = 512
PARKED, DECODE, PREFILL, WAITING, IDLE = (
    SlotState.PARKED,
    SlotState.DECODE,
    SlotState.PREFILL,
    SlotState.WAITING,
    SlotState.IDLE,
)


def slot(index: int, state: SlotState, *, known: int = 1, cached: int = 0, used: int = 0, limit: int = 1000) -> Slot:
    made = Slot(index, CONTEXT)
    made.state, made.known, made.cached, made.last_used = state, known, cached, used
    made.tokens[:known] = index + 1
    start = Start(id=index, token_ids=(b"",), sampling=Sampling(), max_output_tokens=limit, cache_scope="")
    if state is not IDLE:
        sampler = TokenSampler(NoCandidates(), FakeChain(), greedy=True)
        made.request = Request("o", start, np.zeros(known, np.int32), sampler, 0)
    return made


def account_of(cells: int, *slots: Slot) -> CellAccount:
    account = CellAccount(cells)
    for each in slots:
        if each.cached:
            account.grow(each.index, each.cached)
    return account


def test_idle_prefixes_go_first_the_one_unused_for_longest_then_what_the_youngest_parked_kept() -> None:
    idle = [slot(0, IDLE, cached=1, used=5), slot(1, IDLE, cached=1, used=2), slot(2, IDLE, used=1)]
    parked = [slot(3, PARKED, cached=1, used=6), slot(4, PARKED, cached=1, used=7), slot(5, PARKED, used=8)]
    running = [slot(6, DECODE, cached=1, used=0)]

    assert to_forget([*running, *parked, *idle]) is idle[1]
    assert to_forget([*running, *parked]) is parked[1]
    assert to_forget(running) is None


@pytest.mark.parametrize("youngest", [WAITING, PREFILL, DECODE])
def test_the_youngest_is_parked_and_the_oldest_never(youngest: SlotState) -> None:
    slots = [slot(0, DECODE, used=3), slot(1, youngest, used=9), slot(2, PREFILL, used=1), slot(3, PARKED, used=20)]

    assert to_park(slots) is slots[1]
    assert to_park([slots[2], slots[3], slot(4, IDLE, used=30)]) is None


def test_what_a_running_request_wants_soon() -> None:
    assert wanted_tokens(slot(0, DECODE, known=11, cached=10)) == 1 + HEADROOM_TOKENS
    assert wanted_tokens(slot(0, PREFILL, known=100, cached=40, limit=3)) == 60 + 3
    assert wanted_tokens(slot(0, DECODE, known=CONTEXT, cached=CONTEXT)) == 0
    waiting = slot(0, WAITING, known=100, cached=20, limit=0)
    waiting.leader = Leader(1, 90, None)
    assert wanted_tokens(waiting) == 10


def test_who_fits_beside_the_others() -> None:
    other, back = slot(0, DECODE, known=100, cached=100, limit=8), slot(1, PARKED, known=50, limit=4)

    assert fits(back, [other], account_of(100 + 8 + 50 + 4, other))
    assert not fits(back, [other], account_of(100 + 8 + 50 + 3, other))
    assert fits(back, [], account_of(1, other))


def test_what_a_running_request_already_holds_of_a_prompt_needs_no_cells() -> None:
    other, back = slot(0, DECODE, known=100, cached=100, limit=0), slot(1, PARKED, known=50, limit=0)
    back.tokens[:40] = 1

    assert fits(back, [other], account_of(110, other))
    other.scope = "another"
    assert not fits(back, [other], account_of(110, other))


def test_nor_does_what_one_is_just_computing() -> None:
    other, back = slot(0, PREFILL, known=100, cached=10, limit=0), slot(1, PARKED, known=50, limit=0)
    back.tokens[:45] = 1

    assert fits(back, [other], account_of(105, other))
    assert not fits(back, [other], account_of(104, other))


def test_idle_prefixes_do_not_stand_in_the_way() -> None:
    idle, back = slot(0, IDLE, known=90, cached=90), slot(1, PARKED, known=50, limit=0, used=5)
    other = slot(2, DECODE, known=10, cached=10, limit=0)

    assert to_begin([idle, back, other], account_of(100, idle, other)) is back


def test_the_oldest_parked_begins_first_and_is_not_overtaken() -> None:
    other = slot(0, DECODE, known=50, cached=50, limit=0, used=1)
    large, small = slot(1, PARKED, known=60, limit=0, used=2), slot(2, PARKED, known=5, limit=0, used=3)

    assert to_begin([other, small, large], account_of(100, other)) is None
    assert to_begin([other, small, large], account_of(110, other)) is large
    assert to_begin([other], account_of(110, other)) is None


def test_what_lies_outside_goes_in_its_turn_but_not_where_that_frees_no_cell() -> None:
    outside, inside = slot(0, IDLE, cached=1, used=1), slot(1, IDLE, cached=1, used=2)
    outside.is_outside = True
    parked = slot(2, PARKED, cached=1, used=3)

    assert to_forget([outside, inside, parked]) is outside
    assert to_forget([outside, parked]) is parked
    assert to_forget([outside]) is None
