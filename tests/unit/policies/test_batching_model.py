"""Batching as a state-dependent line: exact where it is an M/M/c/K, the table's rules, and simulation."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyqueueing import MM1K, MMC, MMcK

from bench.proofs.queueing import batching_rows
from policies.batching_model import BatchingLine, Work, token_s

TABLE = ((1, 0.02), (2, 0.03), (4, 0.05), (8, 0.06))
RATES = st.lists(st.floats(0.01, 10), min_size=1, max_size=12).map(tuple)


def mmc(servers: int, arrivals_per_s: float, room: int | None) -> BatchingLine:
    return BatchingLine(arrivals_per_s=arrivals_per_s, completions_per_s=tuple(range(1, servers + 1)), room=room)


@pytest.mark.parametrize(
    ("occupancy", "expected"),
    [(0.2, 0.02), (1, 0.02), (1.5, 0.025), (2, 0.03), (3, 0.04), (8, 0.06), (16, 0.12)],
)
def test_the_table_between_and_beyond_its_entries(occupancy: float, expected: float) -> None:
    assert token_s(TABLE, occupancy) == pytest.approx(expected)


def test_a_dip_in_the_table_is_noise_and_below_it_its_first_entry_holds() -> None:
    assert token_s(((2, 0.05), (3, 0.04), (4, 0.06)), 3) == 0.05
    assert token_s(((2, 0.05), (4, 0.06)), 1) == 0.05


@given(st.dictionaries(st.integers(1, 64), st.floats(0.001, 1), min_size=1), st.floats(1, 200), st.floats(0, 50))
def test_more_at_once_is_never_faster_for_each(table: dict[int, float], occupancy: float, more: float) -> None:
    entries = tuple(sorted(table.items()))
    assert token_s(entries, occupancy) <= token_s(entries, occupancy + more) * (1 + 1e-9)


def test_what_a_request_holds_its_slot_for() -> None:
    assert Work(fixed_s=1, decode_tokens=100, decode_s=TABLE).hold_s(4) == pytest.approx(6)
    assert Work(fixed_s=1).hold_s(99) == 1


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.integers(0, 40))
def test_with_equal_servers_it_is_mmck(servers: int, utilisation: float, room: int) -> None:
    mine, other = mmc(servers, servers * utilisation, room), MMcK(servers * utilisation, 1, servers, servers + room)
    assert mine.lost_share() == pytest.approx(other.prob_block(), rel=1e-6, abs=1e-12)
    assert mine.mean_wait_s() == pytest.approx(other.mean_wait(), rel=1e-6, abs=1e-9)


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.floats(0, 10))
def test_with_equal_servers_and_room_for_all_it_is_mmc(servers: int, utilisation: float, wait_s: float) -> None:
    mine, other = mmc(servers, servers * utilisation, None), MMC(servers * utilisation, 1, servers)
    assert mine.lost_share() == 0
    assert mine.wait_share() == pytest.approx(other.prob_wait(), rel=1e-6)
    assert mine.mean_wait_s() == pytest.approx(other.mean_wait(), rel=1e-6)
    assert mine.wait_tail(wait_s) == pytest.approx(1 - other.wait_time_cdf(wait_s), abs=1e-9)


def test_mm1k_in_closed_form() -> None:
    mine = BatchingLine(arrivals_per_s=0.5, completions_per_s=(1.0,), room=1)  # states 4/7, 2/7, 1/7
    assert mine.lost_share() == pytest.approx(MM1K(0.5, 1, 2).prob_block()) == pytest.approx(1 / 7)
    assert mine.wait_share() == pytest.approx(1 / 3)
    assert mine.mean_wait_s() == pytest.approx(1 / 3)
    assert mine.wait_tail(0) == pytest.approx(1 / 3)
    assert mine.wait_tail(2) == pytest.approx(math.exp(-2) / 3)


def test_without_room_nobody_waits_and_a_bounded_room_holds_any_load() -> None:
    full = mmc(2, 10, 0)
    assert (full.wait_share(), full.mean_wait_s(), full.wait_tail(0)) == (0, 0, 0)
    assert full.lost_share() == pytest.approx(50 / 61)
    assert mmc(2, 10, 3).lost_share() == pytest.approx(0.8, abs=0.01)


def test_without_arrivals_nobody_waits() -> None:
    for room in (None, 0, 3):
        idle = mmc(2, 0, room)
        assert (idle.lost_share(), idle.wait_share(), idle.mean_wait_s(), idle.wait_tail(0)) == (0, 0, 0, 0)


def test_it_grows_without_end_from_a_utilisation_of_one() -> None:
    for full in (mmc(2, 2, None), mmc(2, 3, None)):
        assert full.grows_without_end
        assert (full.wait_share(), full.mean_wait_s(), full.wait_tail(1e6)) == (1, math.inf, 1)


@given(RATES, st.floats(0.01, 0.9), st.integers(0, 20), st.floats(0, 20))
def test_more_load_and_less_time_never_help(rates: tuple[float, ...], load: float, room: int, wait_s: float) -> None:
    for bound in (None, room):
        low, high = (
            BatchingLine(arrivals_per_s=rates[-1] * factor * load, completions_per_s=rates, room=bound)
            for factor in (0.9, 1)
        )
        assert 0 <= low.lost_share() <= high.lost_share() + 1e-9 <= 1 + 1e-9
        assert -1e-9 <= low.wait_share() <= high.wait_share() + 1e-9 <= 1 + 2e-9
        assert high.wait_tail(wait_s * 2) <= high.wait_tail(wait_s) + 1e-9 <= high.wait_share() + 2e-9


def test_many_slots_do_not_overflow() -> None:
    assert mmc(3000, 2900, None).wait_share() == pytest.approx(MMC(2900, 1, 3000).prob_wait(), rel=1e-6)
    assert mmc(3000, 1, None).wait_share() == 0
    assert mmc(3, 1e9, 5000).lost_share() == pytest.approx(1)
    assert mmc(3, 1e9, 5000).mean_wait_s() == pytest.approx(5000 / 3)


@pytest.mark.slow
def test_it_is_what_a_simulated_batch_does() -> None:
    rows = batching_rows(100_000, 0.8, 8)
    assert abs(rows["wait"]["off"]) < 0.04
    assert abs(rows["mean_wait"]["off"]) < 0.1


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_values_are_refused(bad: float) -> None:
    for call in (
        lambda: Work(fixed_s=bad),
        lambda: Work(fixed_s=1, decode_tokens=bad, decode_s=TABLE),
        lambda: Work(fixed_s=1, decode_s=((1, bad),)),
        lambda: BatchingLine(arrivals_per_s=bad, completions_per_s=(1.0,)),
        lambda: BatchingLine(arrivals_per_s=1, completions_per_s=(bad,)),
        lambda: mmc(1, 0.5, None).wait_tail(bad),
    ):
        with pytest.raises(ValueError, match="must"):
            call()


def test_what_is_no_work_or_no_line_is_refused() -> None:
    for call in (
        lambda: Work(fixed_s=0),
        lambda: Work(fixed_s=1, decode_tokens=1),
        lambda: Work(fixed_s=1, decode_s=((2, 0.1), (1, 0.1))),
        lambda: Work(fixed_s=1, decode_s=((1, 0.1), (1, 0.1))),
        lambda: Work(fixed_s=1, decode_s=((0, 0.1),)),
        lambda: BatchingLine(arrivals_per_s=1, completions_per_s=()),
        lambda: BatchingLine(arrivals_per_s=1, completions_per_s=(1.0,), room=-1),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
