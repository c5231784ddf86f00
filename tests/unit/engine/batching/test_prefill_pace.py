"""The prompt rows of a step: bounds always, and the wanted step time where a machine's times are steady."""

import random
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.prefill_pace import (
    LEAST_ROWS,
    MEASURED_FOR,
    REMEMBERED_STEPS,
    STRETCH,
    Ceiling,
    PrefillPace,
)
from engine.node_rows import ROW_BLOCK, whole_blocks

MS = 1_000_000


def step_ns(decode_rows: int, prefill_rows: int) -> int:
    """A machine like the measured one: weights once a step, then every row."""
    return 8 * MS + decode_rows * 4_500_000 + prefill_rows * 1_500_000


def observe(pace: PrefillPace, decode_rows: int, prefill_rows: int, factor: float = 1.0) -> int:
    took_ns = int(step_ns(decode_rows, prefill_rows) * factor)
    pace.observe(decode_rows=decode_rows, prefill_rows=prefill_rows, took_ns=took_ns)
    return took_ns


def test_prompts_alone_take_the_whole_batch() -> None:
    pace = PrefillPace(512)
    assert pace.rows(0, 0) == 512
    observe(pace, 16, 0)
    observe(pace, 0, 512)
    assert pace.rows(0, 0) == 512


def test_before_anything_is_measured() -> None:
    pace = PrefillPace(512)
    assert pace.rows(4, 0) == 0
    observe(pace, 4, 64)  # without a decode time this tells nothing
    assert pace.rows(4, 0) == 0
    observe(pace, 4, 0)
    assert pace.rows(4, 0) == LEAST_ROWS


def test_a_number_is_measured_before_it_is_used_and_again_after_a_while() -> None:
    pace = PrefillPace(512)
    observe(pace, 4, 0)
    assert (pace.rows(4, 0), pace.rows(5, 0)) == (LEAST_ROWS, 0)
    for _ in range(MEASURED_FOR):
        rows = pace.rows(4, 0)
        assert rows > 0
        observe(pace, 4, rows)
    assert pace.rows(4, 0) == 0
    observe(pace, 4, 0)
    assert pace.rows(4, 0) > 0


def test_many_prompts_at_once_are_read_although_fewer_requests_were_measured_before() -> None:
    """Simulated: four generated alone, then 16 do, each followed by another with a prompt of 128 tokens for 64."""
    pace, prompts, steps = PrefillPace(512), [128] * 12, [0] * 4
    observe(pace, 4, 0)
    generating = []
    for _ in range(600):
        rows = min(sum(prompts), pace.rows(len(steps), len(prompts)))
        observe(pace, len(steps), rows)
        generating.append(len(steps))
        steps = [step + 1 for step in steps]
        while prompts and rows:
            part = min(rows, prompts[0])
            rows -= part
            prompts[0] -= part
            if not prompts[0]:
                prompts.pop(0)
                steps.append(0)
        prompts += [128] * sum(step >= 64 for step in steps)
        steps = [step for step in steps if step < 64]

    assert sum(generating[100:]) / 500 > 12


def test_prompts_that_ran_alone_tell_nothing_of_a_row_beside_others() -> None:
    pace = PrefillPace(512)
    observe(pace, 0, 500)
    observe(pace, 16, 0)  # 80 ms
    assert pace.rows(16, 0) == LEAST_ROWS
    for _ in range(20):
        pace.observe(decode_rows=16, prefill_rows=50, took_ns=80 * MS + 50 * 3 * MS)
    affordable = int((STRETCH - 1) * 80 / 3)
    assert pace.rows(16, 0) == whole_blocks(16 + affordable) - 16


def test_a_chunk_settles_where_the_step_takes_what_it_may() -> None:
    pace = PrefillPace(512)
    for _ in range(10):
        observe(pace, 16, 0)
    for _ in range(40):
        observe(pace, 16, pace.rows(16, 0))

    rows = pace.rows(16, 0)
    wanted_ns = STRETCH * step_ns(16, 0)
    assert step_ns(16, rows) <= 1.05 * wanted_ns, rows
    assert step_ns(16, rows + ROW_BLOCK) >= wanted_ns, rows


def test_a_step_beside_others_has_whole_blocks_where_that_leaves_the_least() -> None:
    pace = PrefillPace(512)
    for count in (4, 11, 30):
        pace.observe(decode_rows=count, prefill_rows=0, took_ns=40 * MS)
    pace.observe(decode_rows=4, prefill_rows=30, took_ns=70 * MS)  # 1 ms a row, so 60 are affordable
    pace.observe(decode_rows=4, prefill_rows=60, took_ns=100 * MS)  # and as many were fine
    assert [pace.rows(count, 0) for count in (4, 11, 30)] == [64 - 4, 64 - 11, 80 - 30]
    singly = PrefillPace(512, row_block=1)
    for decode_rows, prefill_rows, took_ns in ((11, 0, 40), (4, 0, 40), (4, 30, 70), (4, 60, 100)):
        singly.observe(decode_rows=decode_rows, prefill_rows=prefill_rows, took_ns=took_ns * MS)
    assert singly.rows(11, 0) == 60, "no number of rows is better than the next"
    slow = PrefillPace(512)
    slow.observe(decode_rows=6, prefill_rows=0, took_ns=40 * MS)
    slow.observe(decode_rows=6, prefill_rows=8, took_ns=200 * MS)
    assert slow.rows(6, 0) == LEAST_ROWS, "2 would leave none, 10 are more than is affordable"


def test_a_step_stays_below_a_tile_unless_those_who_generate_fill_it() -> None:
    tiled, plain = PrefillPace(512, 64), PrefillPace(512)
    for pace in (tiled, plain):
        for count in (0, 16, 60):
            pace.observe(decode_rows=count, prefill_rows=0, took_ns=400 * MS)
            pace.observe(decode_rows=count, prefill_rows=100, took_ns=500 * MS)  # 1 ms a row
    assert [plain.rows(count, 0) for count in (0, 16, 60)] == [512, 496, 452]
    assert [tiled.rows(count, 0) for count in (0, 16, 60)] == [512, 48 - 16, 452]


def test_a_number_not_measured_yet_takes_the_nearest_ones_time() -> None:
    pace = PrefillPace(512)
    pace.observe(decode_rows=4, prefill_rows=0, took_ns=40)
    pace.observe(decode_rows=8, prefill_rows=0, took_ns=60)

    assert [pace.decode_ns(count) for count in (2, 4, 6, 8, 16)] == [20, 40, 40, 60, 60]
    pace.observe(decode_rows=4, prefill_rows=10, took_ns=70)  # 3 a row
    assert [pace.decode_ns(count) for count in (2, 4, 6, 8, 16)] == [20, 40, 46, 60, 84]
    pace.observe(decode_rows=4, prefill_rows=10**4, took_ns=10**6)
    assert [pace.decode_ns(count) for count in (6, 16)] == pytest.approx([52, 108], rel=0.01)  # 6 a row: MOST_RISE


def test_the_usual_gap_is_that_of_all_requests_together() -> None:
    pace = PrefillPace(512)
    for count in (4, 16):
        pace.observe(decode_rows=count, prefill_rows=0, took_ns=count * MS)
    pace.observe(decode_rows=4, prefill_rows=40, took_ns=44 * MS)  # 1 ms a row

    assert pace.rows(4, 0) == LEAST_ROWS  # 6 would do
    assert pace.rows(4, 12) == whole_blocks(4 + int(STRETCH * 16 - 4)) - 4
    assert pace.rows(16, 1) == whole_blocks(16 + int(STRETCH * (16 + 1) - 16)) - 16


def test_one_stalled_step_moves_little_and_a_slower_machine_is_followed() -> None:
    pace = PrefillPace(512)
    observe(pace, 4, 0)
    observe(pace, 4, 0, factor=100)
    assert pace.decode_ns(4) < 1.25 * step_ns(4, 0)
    for _ in range(60):
        observe(pace, 4, 0, factor=3)
    assert pace.decode_ns(4) == pytest.approx(3 * step_ns(4, 0), rel=0.05)


def test_a_stalled_chunk_moves_little_and_one_without_a_cost_is_no_fault() -> None:
    pace = PrefillPace(512)
    observe(pace, 4, 0)
    for _ in range(5):
        observe(pace, 4, 20)
        assert pace.rows(4, 0) > LEAST_ROWS
    before = pace.rows(4, 0)
    observe(pace, 4, 20, factor=100)
    assert pace.rows(4, 0) > before / 2
    cheap = PrefillPace(512)
    cheap.observe(decode_rows=1, prefill_rows=0, took_ns=10)
    cheap.observe(decode_rows=1, prefill_rows=64, took_ns=5)
    assert cheap.rows(1, 0) == LEAST_ROWS


def uneven_ns(rows: int) -> int:
    """A step of 16 requests on a machine that is three times slower from 64 rows on."""
    return step_ns(16, rows) * (3 if 16 + rows >= 64 else 1)


def test_a_jump_in_time_is_found_once_and_avoided_for_a_while() -> None:
    pace = PrefillPace(512)
    observe(pace, 16, 0)
    taken = []
    for _ in range(REMEMBERED_STEPS):
        rows = pace.rows(16, 0)
        taken.append(rows)
        pace.observe(decode_rows=16, prefill_rows=rows, took_ns=uneven_ns(rows))

    assert taken[0] == LEAST_ROWS
    assert sum(16 + rows >= 64 for rows in taken) <= 3
    assert max(taken[-100:]) == 48 - 16
    for _ in range(REMEMBERED_STEPS):
        rows = pace.rows(16, 0)
        taken.append(rows)
        pace.observe(decode_rows=16, prefill_rows=rows, took_ns=uneven_ns(rows))
    assert max(taken[REMEMBERED_STEPS:]) == 64 - 16  # tried again
    assert sum(16 + rows >= 64 for rows in taken) <= 6


def test_a_stall_at_a_size_that_was_fine_bounds_nothing() -> None:
    ceiling = Ceiling()
    assert ceiling.rows is None
    ceiling.observe(40, is_far_longer=False)
    assert ceiling.rows == 40 + ROW_BLOCK
    ceiling.observe(40, is_far_longer=True)
    assert ceiling.rows == 40 + ROW_BLOCK
    ceiling.observe(80, is_far_longer=False)
    assert ceiling.rows == 100
    ceiling = Ceiling()
    ceiling.observe(40, is_far_longer=False)
    ceiling.observe(48, is_far_longer=True)
    assert ceiling.rows == 44


def test_a_bound_that_a_stall_set_goes_once_as_many_rows_are_fine() -> None:
    ceiling = Ceiling()
    ceiling.observe(24, is_far_longer=True)
    assert ceiling.rows is None
    ceiling.observe(24, is_far_longer=False)
    assert ceiling.rows == 24 + ROW_BLOCK


def test_many_arrivals_at_16_streams_keep_the_longest_gaps_within_three_medians() -> None:
    """Simulated: all 16 generate, every third step or so a prompt of 512 tokens arrives; 10 % noise."""
    draw, pace, gaps, waiting = random.Random(1), PrefillPace(512), [], 0
    for _ in range(2_000):
        waiting += 512 * (draw.random() < 0.02)
        rows = min(waiting, pace.rows(16, 0))
        waiting -= rows
        gaps.append(observe(pace, 16, rows, factor=draw.uniform(0.9, 1.1)))

    assert quantiles(gaps, n=100)[98] <= 3 * median(gaps)


@given(
    batch=st.integers(1, 2048),
    steps=st.lists(
        st.tuples(st.integers(0, 64), st.integers(0, 2048), st.integers(0, 10**12)).filter(lambda one: one[0] + one[1]),
        max_size=30,
    ),
    generating=st.integers(1, 64),
    prompting=st.integers(0, 64),
)
def test_whatever_is_measured_a_prompt_goes_on_and_the_batch_is_not_overfilled(
    batch: int, steps: list[tuple[int, int, int]], generating: int, prompting: int
) -> None:
    pace = PrefillPace(batch)
    for decode_rows, prefill_rows, took_ns in steps:
        pace.observe(decode_rows=decode_rows, prefill_rows=prefill_rows, took_ns=took_ns)
    room = max(0, batch - generating)
    is_measured = any(one[:2] == (generating, 0) for one in steps)

    assert (min(room, LEAST_ROWS) if is_measured else 0) <= pace.rows(generating, prompting) <= room
    assert pace.rows(0, 0) == batch
