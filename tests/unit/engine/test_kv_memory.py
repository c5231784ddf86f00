"""Cells, and what one request may use of them."""

import pytest

from engine.kv_memory import KV_TYPES, KvMemory, remedy, shared_cells, slot_context_tokens, tile_rows


@pytest.mark.parametrize(("stated", "cells"), [(0, 400), (150, 150), (400, 400), (900, 400)])
def test_cells_of_all_slots(stated: int, cells: int) -> None:
    assert shared_cells(KvMemory(cells=stated), slots=4, context_tokens=100) == cells


@pytest.mark.parametrize(
    ("cells", "asked", "trained", "tokens"),
    [(0, 100, 0, 100), (0, 100, 64, 64), (48, 100, 64, 48), (500, 100, 200, 100)],
)
def test_what_one_request_may_use(cells: int, asked: int, trained: int, tokens: int) -> None:
    assert slot_context_tokens(KvMemory(cells=cells), asked_tokens=asked, trained_tokens=trained) == tokens


def test_only_16_bit_floats_on_the_cpu_are_read_in_tiles() -> None:
    assert tile_rows(KvMemory(), gpu_layers=0) == 64
    assert tile_rows(KvMemory(flash_attention=True), gpu_layers=0) == 64
    assert tile_rows(KvMemory(flash_attention=False), gpu_layers=0) == 0
    assert tile_rows(KvMemory(kv_type="bf16"), gpu_layers=0) == 0
    assert tile_rows(KvMemory(), gpu_layers=1) == 0


def test_the_remedy_names_what_was_chosen() -> None:
    assert KV_TYPES == ("f16", "bf16", "q8_0", "q4_0")
    assert "turn it on" in remedy(KvMemory(kv_type="q8_0", flash_attention=False))
    assert remedy(KvMemory(kv_type="q8_0")).startswith("use kv_type f16 without")
    assert remedy(KvMemory(kv_type="bf16", flash_attention=False)).startswith("use kv_type f16 without")
    assert remedy(KvMemory(flash_attention=True)).startswith("use kv_type f16 without")
    assert remedy(KvMemory()).startswith("use fewer slots")
