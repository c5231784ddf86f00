"""From measured views to models: which targets, which neighbours, what a request costs, and how it would wait."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching_model import Work
from policies.pool_model import (
    Flow,
    PoolModel,
    Waits,
    explained_share,
    models_of,
    sharing_slots,
    table_of,
    targets_of,
)
from policies.queueing import (
    Line,
    allen_cunneen_mean_wait_s,
    erlang_c,
    kimura_mean_wait_s,
    mmc_wait_quantile_s,
    mmc_wait_tail,
)
from tests.unit.policies.pool_views import FOUR, TABLE, pool, target, view


def mm(slots: int, arrival_cv2: float = 1.0, service_cv2: float = 1.0) -> PoolModel:
    flow = Flow(arrivals_per_s=1, arrival_cv2=arrival_cv2, work=Work(fixed_s=2), service_cv2=service_cv2)
    return PoolModel(name="full", own=flow, others=(), slots=slots, slots_per_target=slots)


# ---- waits


@given(st.integers(1, 40), st.floats(0.01, 0.98), st.floats(0.01, 20))
def test_with_slots_of_one_speed_it_is_mmc(slots: int, utilisation: float, wait_s: float) -> None:
    rate_per_s = slots * utilisation / 2
    waits, exact = mm(slots).waits(rate_per_s, slots), Line(servers=slots, arrivals_per_s=rate_per_s, service_s=2)
    assert waits.share == pytest.approx(erlang_c(slots, slots * utilisation), rel=1e-6)
    assert waits.tail(wait_s) == pytest.approx(mmc_wait_tail(exact, wait_s), rel=1e-6)
    assert waits.quantile_s(0.95) == pytest.approx(mmc_wait_quantile_s(exact, 0.95), rel=1e-6, abs=1e-6)
    assert waits.mean_s == pytest.approx(waits.likely_s)


def test_heavy_tails_are_bounded_and_guessed_at() -> None:
    waits = mm(8, service_cv2=3).waits(3.2, 8)
    exact = Line(servers=8, arrivals_per_s=3.2, service_s=2, service_cv2=3)
    assert waits.mean_s == pytest.approx(allen_cunneen_mean_wait_s(exact))
    assert waits.likely_s == pytest.approx(kimura_mean_wait_s(exact))


def test_smooth_services_are_taken_by_kimura_and_smooth_arrivals_as_random() -> None:
    waits = mm(8, arrival_cv2=0.1, service_cv2=0).waits(3.2, 8)
    exact = Line(servers=8, arrivals_per_s=3.2, service_s=2, service_cv2=0)
    assert waits.mean_s == pytest.approx(waits.likely_s) == pytest.approx(kimura_mean_wait_s(exact))


def test_bursts_make_more_wait_longer() -> None:
    calm, bursts = mm(8).waits(3.2, 8), mm(8, arrival_cv2=5).waits(3.2, 8)
    assert bursts.share > calm.share
    assert bursts.mean_of_waiting_s == pytest.approx(calm.mean_of_waiting_s * 3)


def test_a_line_that_grows_without_end() -> None:
    waits = mm(8).waits(4, 8)
    assert (waits.share, waits.mean_s, waits.likely_s, waits.quantile_s(0.9)) == (1, math.inf, math.inf, math.inf)
    assert waits.tail(1e9) == 1
    assert waits.utilisation == 1


def test_without_requests_nobody_waits() -> None:
    assert mm(8).waits(0, 8) == Waits(utilisation=0, share=0, mean_of_waiting_s=0.25, likely_s=0)
    assert mm(8).waits(0, 8).mean_s == 0
    assert mm(8).waits(1e-300, 8).likely_s == 0  # where the formulas underflow


@given(st.floats(0.01, 1.5), st.floats(1.01, 1.5), st.floats(0, 30), st.sampled_from([0.5, 1.0, 1.5, 8.0]))
def test_more_load_and_fewer_slots_never_help(rate_per_s: float, more: float, wait_s: float, cv2: float) -> None:
    mine = pool(arrival_cv2=cv2)
    for model in models_of(mine, view(mine)):
        waits = model.waits(rate_per_s, 16)
        assert waits.tail(wait_s) <= model.waits(rate_per_s * more, 16).tail(wait_s) + 1e-9
        assert waits.tail(wait_s) >= model.waits(rate_per_s, 20).tail(wait_s) - 1e-9


def test_slower_requests_fill_the_slots_sooner() -> None:
    assert mm(8).slower(2).saturation_per_s() == pytest.approx(mm(8).saturation_per_s() / 2)
    _, batching = models_of(pool(), view(pool()))
    assert batching.slower(2).saturation_per_s() == pytest.approx(batching.saturation_per_s() / 2)


def test_neighbours_take_their_part() -> None:
    own = Flow(arrivals_per_s=1, arrival_cv2=1, work=Work(fixed_s=2), service_cv2=1)
    other = Flow(arrivals_per_s=2, arrival_cv2=4, work=Work(fixed_s=1), service_cv2=0)
    both = PoolModel(name="full", own=own, others=(other,), slots=8, slots_per_target=8)
    assert both.saturation_per_s() == pytest.approx(3)  # (8 slots - 2 taken) / 2 s
    assert both.load_erlangs(2) == pytest.approx(6)
    assert both.waits(2, 8).utilisation == pytest.approx(0.75)
    assert both.waits(2, 8).share > mm(8).waits(3, 8).share  # as much load, but in bursts
    crowded = PoolModel(name="full", own=own, others=(other,), slots=2, slots_per_target=2)
    assert crowded.saturation_per_s() == 0


# ---- from what was measured


def test_the_parts_are_scaled_to_the_measured_time_at_the_measured_occupancy() -> None:
    here = view(pool())
    full, batching = models_of(pool(), here)
    occupancy = 0.9 * 9 / 4  # Little's law, on four targets
    assert (full.name, batching.name) == ("full", "batching")
    assert batching.own.work.hold_s(occupancy) == pytest.approx(9)
    assert full.own.work.hold_s(1) == full.own.work.hold_s(4) == pytest.approx(batching.own.work.hold_s(4))
    parts_s = 0.77 + 200 * (0.0393 + (occupancy - 2) / 2 * (0.0537 - 0.0393))
    assert explained_share(pool(), here) == pytest.approx(parts_s / 9)


def test_batching_never_lets_more_wait_than_the_safe_model() -> None:
    full, batching = models_of(pool(), view(pool()))
    for rate_per_s in (0.2, 0.6, 1.0, 1.3):
        assert batching.waits(rate_per_s, 16).share <= full.waits(rate_per_s, 16).share
    assert batching.saturation_per_s() == pytest.approx(full.saturation_per_s())


def test_the_safe_model_takes_the_longest_time_measured() -> None:
    none = tuple(target(number, decode_s=()) for number in range(4))
    assert [each.name for each in models_of(pool(), view(pool(), targets=none))] == ["full"]
    for service_s, expected_s in ((9.0, 0.77 + 200 * 0.0537), (20.0, 20.0)):
        mine = pool(service_s=service_s)
        (full,) = models_of(mine, view(mine, targets=none))
        assert full.own.work.hold_s(1) == pytest.approx(expected_s)


def test_requests_without_parts_hold_their_slot_as_measured() -> None:
    bare = pool(prompt_tokens=0.0, output_tokens=0.0)
    for model in models_of(bare, view(bare)):
        assert model.own.work.hold_s(1) == model.own.work.hold_s(4) == 9
    assert explained_share(bare, view(bare)) == 1


def test_more_asked_than_fits_counts_as_all_slots_busy() -> None:
    crowded = pool(arrivals_per_s=50.0)
    _, batching = models_of(crowded, view(crowded))
    assert batching.own.work.hold_s(4) == pytest.approx(9)


def test_a_pools_targets_are_its_ready_ones() -> None:
    here = view(pool(), targets=(*FOUR, target(5)))
    assert targets_of(pool(), here) == FOUR
    away = target(0, ready=False)
    assert targets_of(pool(), view(pool(), targets=(away, *FOUR[1:]))) == FOUR[1:]


def test_one_table_is_the_mean_of_all() -> None:
    slow = target(3, decode_s=((1, 0.0281), (3, 0.05)))
    table = dict(table_of(pool(), view(pool(), targets=(*FOUR[:3], slow))))
    assert table[1] == pytest.approx((3 * 0.0241 + 0.0281) / 4)
    assert (table[3], table[4]) == (0.05, dict(TABLE)[4])


def test_pools_on_the_same_targets_share_their_slots() -> None:
    mine, embedding = pool(), pool(kind="embedding", targets=("t0",))
    empty, apart = pool(kind="completion", slots=0, targets=()), pool(model="other", slots=4, targets=("t5",))
    here = view(mine, embedding, empty, apart, targets=(*FOUR, target(5)))
    assert sharing_slots(mine, here) == (embedding,)
    assert sharing_slots(apart, here) == ()
    full, *_ = models_of(mine, here)
    assert len(full.others) == 1


def test_a_neighbour_without_measurements_is_left_out() -> None:
    mine, idle = pool(), pool(kind="embedding", service_s=0.0)
    assert all(model.others == () for model in models_of(mine, view(mine, idle)))
