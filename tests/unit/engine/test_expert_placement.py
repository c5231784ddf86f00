import re

import pytest

from engine.expert_placement import expert_pattern


@pytest.mark.parametrize(
    ("name", "layers", "kept"),
    [
        ("blk.0.ffn_up_exps.weight", 1, True),
        ("blk.1.ffn_up_exps.weight", 1, False),
        ("blk.11.ffn_gate_up_exps.weight", 12, True),
        ("blk.11.ffn_down_chexps.weight", 12, True),
        ("blk.11.ffn_down_exps.weight", 2, False),
        ("blk.0.ffn_down_shexp.weight", 1, False),
        ("blk.0.ffn_up.weight", 1, False),
        ("v.blk.0.ffn_up_exps.weight", 1, False),
        ("blk.0.ffn_up_exps.weight", 0, False),
    ],
)
def test_the_experts_of_the_first_layers_and_nothing_else(name: str, layers: int, kept: bool) -> None:
    assert bool(re.search(expert_pattern(layers), name)) is kept
