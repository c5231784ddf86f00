"""A piece's longest node stays short, unless it would be mostly reading weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.node_rows import FEWEST_ROWS, NODE_OPERATIONS, ROW_BLOCK, node_rows, row_block, whole_blocks, widest_matrix

SMOLLM2 = widest_matrix(width=576, feed_forward=1536)
SEVEN_BILLION = widest_matrix(width=4096, feed_forward=11008)


def test_known_models() -> None:
    assert node_rows(SMOLLM2, threads=1, batch_tokens=512) == 128
    assert node_rows(SMOLLM2, threads=4, batch_tokens=512) == 512
    assert node_rows(SEVEN_BILLION, threads=2, batch_tokens=512) == FEWEST_ROWS
    assert node_rows(SEVEN_BILLION, threads=32, batch_tokens=512) == 80


def test_the_widest_matrix() -> None:
    assert widest_matrix(width=100, feed_forward=300) == 30_000
    assert widest_matrix(width=100, feed_forward=50) == 10_000
    assert widest_matrix(width=100, feed_forward=0) == 40_000
    assert widest_matrix(width=100, feed_forward=0, expert_feed_forward=70, experts_used=8) == 56_000
    assert widest_matrix(width=100, feed_forward=900, expert_feed_forward=70, experts_used=8) == 90_000


@pytest.mark.parametrize(
    ("quantization", "gpu_layers", "rows"),
    [
        ("Q4_0", 0, ROW_BLOCK),
        ("Q4_K_M", 0, ROW_BLOCK),
        ("Q8_0", 0, 1),
        ("F16", 0, 1),
        ("unknown", 0, 1),
        ("Q4_0", 1, 1),
    ],
)
def test_blocks_are_for_what_llama_cpp_repacks(quantization: str, gpu_layers: int, rows: int) -> None:
    assert row_block(quantization, gpu_layers=gpu_layers) == rows
    assert [whole_blocks(63, rows), whole_blocks(64, rows)] == [63 - 63 % rows, 64]


@given(st.integers(0, 2**31), st.integers(1, 64), st.integers(1, 8192))
def test_the_bounds_hold(numbers: int, threads: int, batch: int) -> None:
    rows = node_rows(numbers, threads=threads, batch_tokens=batch)
    assert 1 <= rows <= batch
    assert rows in {FEWEST_ROWS, batch} or rows % ROW_BLOCK == 0
    assert rows <= FEWEST_ROWS or 2 * rows * numbers <= threads * NODE_OPERATIONS
