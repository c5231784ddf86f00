"""A file is mapped unless its processes hold less by reading it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.gguf_header import Tensor
from engine.weight_loading import maps_weights, repacked_bytes


@pytest.mark.parametrize(
    ("repacked", "processes", "gpu_layers", "mapped"),
    [
        (0, 1, 0, True),  # 16 bits: nothing is held twice
        (0, 3, 0, True),
        (70, 1, 0, False),
        (70, 2, 0, False),  # 240 mapped, 200 read
        (70, 3, 0, False),  # 310 mapped, 300 read
        (70, 4, 0, True),  # 380 mapped, 400 read
        (50, 2, 0, True),
        (70, 1, 1, True),
    ],
)
def test_what_holds_less(repacked: int, processes: int, gpu_layers: int, mapped: bool) -> None:
    assert mapped is maps_weights(
        weights_bytes=100, repacked_bytes=repacked, processes=processes, gpu_layers=gpu_layers
    )


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 64))
def test_one_process_never_holds_more_than_it_would_mapped(first: int, second: int, processes: int) -> None:
    repacked, weights = sorted((first, second))
    if not maps_weights(weights_bytes=weights, repacked_bytes=repacked, processes=processes, gpu_layers=0):
        assert processes * weights < weights + processes * repacked


def tensor(name: str, kind: str, *shape: int) -> Tensor:
    return Tensor(name=name, shape=shape, type=kind)


def test_what_is_rearranged() -> None:
    assert repacked_bytes(tensor("blk.0.ffn_up.weight", "Q4_0", 64, 16)) == 64 * 16 // 32 * 18
    assert repacked_bytes(tensor("blk.0.ffn_up_exps.weight", "Q4_K", 256, 8, 4)) == 8 * 4 * 144
    assert repacked_bytes(tensor("output.weight", "IQ4_NL", 32, 8)) == 8 * 18
    for other in (
        tensor("token_embd.weight", "Q4_0", 64, 16),
        tensor("blk.0.ffn_up.weight", "Q4_1", 64, 16),
        tensor("blk.0.ffn_up.weight", "F16", 64, 16),
        tensor("blk.0.ffn_up.weight", "Q4_0", 64, 12),
        tensor("blk.0.attn_norm.weight", "Q4_0", 64),
    ):
        assert repacked_bytes(other) == 0
