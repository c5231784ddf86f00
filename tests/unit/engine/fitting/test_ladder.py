from typing import Any

import pytest

from engine.fitting.ladder import OverrideRefused, Overrides, check_overrides, flash_possible, rungs_of
from engine.fitting.machine import GIB
from tests.unit.engine.fitting.made_up_model import experts, machine, nvidia, small

LITTLE, BIG = machine(), machine(8 * GIB, nvidia(8 * GIB))


def steps(overrides: Overrides, **changes: Any) -> list[tuple[int, int]]:
    return [(rung.slots, rung.context_tokens) for rung in rungs_of(small(**changes), LITTLE, overrides)]


def test_context_comes_first_then_slots_then_more_context() -> None:
    assert steps(Overrides()) == [
        *((1, 512), (1, 1024), (1, 2048), (1, 4096)),
        *((slots, 4096) for slots in range(2, 9)),
        *((8, 8192), (8, 16384)),
    ]


@pytest.mark.parametrize(
    ("own", "last"), [(256, (8, 256)), (3000, (8, 3000)), (6000, (8, 6000)), (0, (8, 4096)), (4096, (8, 4096))]
)
def test_the_context_ends_at_what_the_model_states(own: int, last: tuple[int, int]) -> None:
    assert steps(Overrides(), context_length=own)[-1] == last


def test_only_what_is_not_stated_is_climbed() -> None:
    assert steps(Overrides(slots=3, context_tokens=700)) == [(3, 700)]
    assert steps(Overrides(context_tokens=8192)) == [(slots, 8192) for slots in range(1, 9)]
    assert steps(Overrides(slots=2), context_length=2048) == [(2, 512), (2, 1024), (2, 2048)]
    assert steps(Overrides(batch_tokens=2, context_tokens=64)) == [(1, 64), (2, 64)]


def test_a_quantised_type_is_for_reaching_the_wanted_shape() -> None:
    types = {(rung.slots, rung.context_tokens): rung.kv_types for rung in rungs_of(small(), LITTLE, Overrides())}
    assert types[1, 512] == types[1, 4096] == ("f16", "q8_0", "q4_0")
    assert types[8, 4096] == ("f16", "q8_0")
    assert types[8, 8192] == ("f16",)


@pytest.mark.parametrize(
    ("changes", "overrides"),
    [
        ({"quantises_kv": False}, Overrides()),
        ({"allows_flash": False}, Overrides()),
        ({}, Overrides(flash_attention=False)),
        ({}, Overrides(kv_type="f16")),
    ],
)
def test_without_the_means_only_f16(changes: dict[str, Any], overrides: Overrides) -> None:
    assert {rung.kv_types for rung in rungs_of(small(**changes), LITTLE, overrides)} == {("f16",)}


def test_steps_are_short_for_a_short_context_and_hold_every_slot() -> None:
    assert [rung.batch_tokens for rung in rungs_of(small(), LITTLE, Overrides())][:4] == [128, 256, 512, 512]
    assert rungs_of(small(), LITTLE, Overrides(slots=64, context_tokens=64))[0].batch_tokens == 64
    assert rungs_of(small(), LITTLE, Overrides(batch_tokens=100))[0].batch_tokens == 100


def test_one_gpu_without_flash_attention_is_enough_to_have_none() -> None:
    old = machine(GIB, nvidia(GIB), nvidia(GIB, flash_attention=False))
    assert not flash_possible(small(), old, Overrides())
    assert flash_possible(small(), old, Overrides(gpu_layers=0))
    assert flash_possible(small(), BIG, Overrides())


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (Overrides(memory_bytes=9 * GIB), "memory_bytes is 9663676416.*the machine has no more"),
        (Overrides(slots=0), "slots is 0, and must be 1 to 64"),
        (Overrides(context_tokens=20000), "context_tokens is 20000, and must be 1 to 16384: the model states no more"),
        (Overrides(slots=8, batch_tokens=4), "batch_tokens is 4, and must be 8 to 8192"),
        (Overrides(batch_tokens=0), "batch_tokens is 0, and must be 1 to 8192"),
        (Overrides(threads=0), "threads is 0"),
        (Overrides(gpu_layers=1), "gpu_layers is 1, and must be 0: the machine has no GPU"),
        (Overrides(cpu_expert_layers=1), "cpu_expert_layers is 1, and must be 0:"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(overrides: Overrides, reason: str) -> None:
    with pytest.raises(OverrideRefused, match=reason):
        check_overrides(small(), LITTLE, overrides)


@pytest.mark.parametrize(
    ("overrides", "changes", "reason"),
    [
        (Overrides(gpu_layers=6), {}, "must be 0 to 5: layers of the model and its output layer"),
        (Overrides(flash_attention=True), {"allows_flash": False}, "flash_attention is on"),
        (Overrides(kv_type="q8_0"), {"allows_flash": False}, "needs flash attention: use f16"),
        (Overrides(kv_type="q8_0", flash_attention=False), {}, "needs flash attention: use f16"),
        (Overrides(kv_type="q4_0"), {"quantises_kv": False}, "not whole blocks of 32"),
    ],
)
def test_so_is_what_model_or_gpu_lack(overrides: Overrides, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OverrideRefused, match=reason):
        check_overrides(small(**changes), BIG, overrides)


def test_what_can_be_passes() -> None:
    check_overrides(small(context_length=0), BIG, Overrides(context_tokens=10**6, kv_type="q8_0", gpu_layers=5))
    check_overrides(experts(), BIG, Overrides(cpu_expert_layers=4, flash_attention=True))


def test_shared_cells_bound_the_context_of_each_slot() -> None:
    assert steps(Overrides(kv_cells=1000, slots=8)) == [(8, 512), (8, 1000)]
    assert steps(Overrides(kv_cells=10**6, slots=8)) == steps(Overrides(slots=8))
