from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.fitting.ladder import OverrideRefused, Overrides
from engine.fitting.machine import GIB, MIB, Gpu, Machine, memory_budget_bytes
from engine.fitting.model_size import LayerSize, ModelSize, model_size_of
from engine.fitting.placement import DoesNotFit, Fit, fit
from tests.unit.engine.fitting.made_up_model import LLAMA_2_7B, LLAMA_3_8B, SMOLLM2, experts, machine, nvidia, small

GB = 10**9


def plan(model: ModelSize, on: Machine, **overrides: Any) -> Fit:
    return fit(model, on, Overrides(**overrides))


def test_one_core_and_one_gib_serve_the_small_model() -> None:
    found = plan(model_size_of(SMOLLM2), machine(GIB, cores=1))
    assert (found.threads, found.gpu_layers, found.run_on_hardware) == (1, 0, True)
    assert found.shape.context_tokens == 4096
    assert found.shape.slots >= 4
    assert found.total_bytes <= 704 * MIB


@pytest.mark.parametrize(("made", "slots", "kv_type"), [(LLAMA_2_7B, 3, "q8_0"), (LLAMA_3_8B, 8, "q8_0")])
def test_seven_billion_weights_fit_into_eight_gib(made: Any, slots: int, kv_type: str) -> None:
    found = plan(model_size_of(made), machine(8 * GIB, cores=8))
    assert (found.shape.slots, found.shape.context_tokens, found.shape.kv_type) == (slots, 4096, kv_type)
    assert (found.threads, found.shape.flash_attention) == (7, True)
    assert found.total_bytes <= memory_budget_bytes(machine(8 * GIB))


def test_seven_billion_weights_fit_onto_a_gpu_of_eight_gib() -> None:
    found = plan(model_size_of(LLAMA_3_8B), machine(16 * GIB, nvidia(8 * GIB)))
    assert (found.gpu_layers, found.tensor_split, found.run_on_hardware) == (33, (33,), False)
    assert found.shape.slots >= 2
    cpu, gpu = found.devices
    assert (cpu.layers, cpu.holds_output, gpu.layers, gpu.holds_output) == (0, False, 32, True)
    assert cpu.kv_bytes == 0


def test_what_does_not_fit_is_refused_with_the_nearest_plan() -> None:
    with pytest.raises(DoesNotFit) as refused:
        plan(model_size_of(LLAMA_2_7B), machine(4 * GIB))
    nearest = refused.value.nearest
    assert (nearest.shape.slots, nearest.shape.context_tokens, nearest.shape.kv_type) == (1, 512, "q4_0")
    assert nearest.over_bytes == nearest.total_bytes - memory_budget_bytes(machine(4 * GIB)) > 0
    assert str(refused.value) == f"{nearest.over_bytes} bytes are missing"


def test_the_last_layers_and_the_output_go_first() -> None:
    found = plan(small(), machine(8 * GIB, nvidia(900 * 10**6)))
    cpu, gpu = found.devices
    assert (found.gpu_layers, cpu.layers, gpu.layers, gpu.holds_output) == (3, 2, 2, True)
    assert gpu.weights_bytes == 2 * 10**8 + 2 * 10**7
    assert cpu.weights_bytes == 2 * 10**8 + 10**7
    assert (found.shape.slots, found.shape.context_tokens) == (2, 4096)  # no more before all layers have moved


def test_a_gpu_too_small_for_anything_is_left_alone() -> None:
    found = plan(small(), machine(8 * GIB, nvidia(500 * MIB)))
    assert (found.gpu_layers, len(found.devices), found.tensor_split, found.run_on_hardware) == (0, 1, (0,), True)
    assert found.shape.slots == 2
    alone = plan(small(), machine(8 * GIB, nvidia(500 * MIB)), gpu_layers=0)
    assert (alone.shape.slots, alone.shape.context_tokens) == (8, 16384)


def test_layers_go_over_gpus_in_order_and_past_one_that_is_full() -> None:
    gpus = (nvidia(100 * MIB), nvidia(900 * 10**6, name="GPU 1", kind="amd"), nvidia(4 * GB, name="GPU 2"))
    found = plan(small(), machine(8 * GIB, *gpus), slots=1, context_tokens=4096, kv_type="f16")
    assert found.gpu_layers == 5
    assert [(device.name, device.layers, device.holds_output) for device in found.devices] == [
        ("CPU", 0, False),
        ("GPU 1", 2, False),
        ("GPU 2", 2, True),
    ]
    assert found.tensor_split == (0, 2, 3)


def test_experts_stay_on_the_cpu_before_a_layer_does() -> None:
    model = experts()
    dense = plan(model, machine(16 * GIB, nvidia(int(1.5 * GB))))
    assert (dense.gpu_layers, dense.cpu_expert_layers) == (5, 4)
    assert dense.devices[0].weights_bytes == 10**7 + 4 * 5 * 10**8
    some_experts = plan(model, machine(16 * GIB, nvidia(int(2.2 * GB))))
    assert some_experts.gpu_layers == 5
    assert 0 < some_experts.cpu_expert_layers < 4
    whole = plan(model, machine(16 * GIB, nvidia(8 * GB)))
    assert (whole.gpu_layers, whole.cpu_expert_layers, whole.shape.slots) == (5, 0, 8)
    assert whole.devices[0].buffer_bytes < whole.devices[1].buffer_bytes  # only rows come in there
    assert some_experts.devices[0].buffer_bytes == some_experts.devices[1].buffer_bytes
    assert plan(model, machine(16 * GIB, nvidia(8 * GB)), gpu_layers=0).cpu_expert_layers == 0


def test_apple_draws_on_one_memory() -> None:
    apple = Gpu(name="M2", kind="apple", free_bytes=6 * GIB)
    found = plan(model_size_of(LLAMA_3_8B), machine(8 * GIB, apple))
    assert found.gpu_layers == 33
    assert found.total_bytes <= memory_budget_bytes(machine(8 * GIB))
    with pytest.raises(DoesNotFit):
        plan(model_size_of(LLAMA_3_8B), machine(5 * GIB, apple))


def test_a_shared_token_table_is_copied_with_the_output_layer() -> None:
    model = small(shares_output=True)
    assert model.weights_bytes == 4 * 10**8 + 10**7
    assert plan(model, machine()).devices[0].weights_bytes == model.weights_bytes
    cpu, gpu = plan(model, machine(8 * GIB, nvidia(4 * GB))).devices
    assert cpu.weights_bytes + gpu.weights_bytes == model.weights_bytes + model.output_bytes


def test_threads_are_the_share_unless_stated() -> None:
    assert fit(small(), machine(cores=8), Overrides()).threads == 7
    assert fit(small(), machine(cores=8), Overrides(), threads=2).threads == 2
    assert fit(small(), machine(cores=8), Overrides(threads=9), threads=2).threads == 9


def test_small_windows_leave_room() -> None:
    layer = LayerSize(dense_bytes=10**8, key_numbers=1024, value_numbers=1024, window_tokens=512)
    model = small(layers=(layer,) * 4)
    assert plan(model, machine(), full_windows=False).total_bytes < plan(model, machine()).total_bytes


memories = some.integers(0, 12 * GB)
models = some.sampled_from([small(), experts(), small(shares_output=True, quantises_kv=False, context_length=3000)])
kinds = some.sampled_from(["nvidia", "amd", "apple"])
gpu_lists = some.lists(some.builds(nvidia, memories, kind=kinds), max_size=2)
statements = some.builds(
    Overrides,
    slots=some.none() | some.integers(0, 70),
    context_tokens=some.none() | some.integers(1, 20000),
    batch_tokens=some.none() | some.integers(1, 600),
    threads=some.none() | some.integers(0, 9),
    kv_type=some.sampled_from([None, "f16", "q8_0", "q4_0"]),
    flash_attention=some.sampled_from([None, True, False]),
    gpu_layers=some.none() | some.integers(0, 6),
    cpu_expert_layers=some.none() | some.integers(0, 5),
    memory_bytes=some.none() | memories,
)


def planned(model: ModelSize, on: Machine, overrides: Overrides) -> Fit | None:
    try:
        return fit(model, on, overrides)
    except (DoesNotFit, OverrideRefused):
        return None


@given(models, memories, gpu_lists, statements)
def test_a_plan_never_exceeds_any_budget(
    model: ModelSize, memory_bytes: int, gpus: list[Gpu], overrides: Overrides
) -> None:
    on = machine(memory_bytes, *gpus)
    if found := planned(model, on, overrides):
        host, *cards = found.devices
        shared = sum(card.total_bytes for card in cards if card.kind == "apple")
        stated = overrides.memory_bytes
        assert host.total_bytes + shared <= (memory_budget_bytes(on) if stated is None else stated)
        assert all(card.total_bytes <= card.limit_bytes for card in cards)
        assert sum(device.layers for device in found.devices) == len(model.layers)
        assert [device.holds_output for device in found.devices].count(True) == 1
        assert sum(found.tensor_split) == found.gpu_layers


@given(models, memories, gpu_lists, statements)
def test_what_is_stated_is_kept_or_refused(
    model: ModelSize, memory_bytes: int, gpus: list[Gpu], overrides: Overrides
) -> None:
    if found := planned(model, machine(memory_bytes, *gpus), overrides):
        shape = found.shape
        for stated, kept in (
            (overrides.slots, shape.slots),
            (overrides.context_tokens, shape.context_tokens),
            (overrides.batch_tokens, shape.batch_tokens),
            (overrides.kv_type, shape.kv_type),
            (overrides.flash_attention, shape.flash_attention),
            (overrides.threads, found.threads),
            (overrides.gpu_layers, found.gpu_layers),
            (overrides.cpu_expert_layers, found.cpu_expert_layers),
            (overrides.memory_bytes, found.devices[0].limit_bytes),
        ):
            assert stated is None or stated == kept
        assert shape.slots <= shape.batch_tokens
        assert shape.kv_type == "f16" or shape.flash_attention
        assert shape.context_tokens <= model.context_length


@given(models, memories, gpu_lists, some.lists(memories, min_size=3, max_size=3), some.just(Overrides()) | statements)
def test_more_memory_never_gives_less(
    model: ModelSize, memory_bytes: int, gpus: list[Gpu], more: list[int], overrides: Overrides
) -> None:
    overrides = msgspec.structs.replace(overrides, memory_bytes=None)
    grown = [nvidia(gpu.free_bytes + extra, kind=gpu.kind) for gpu, extra in zip(gpus, more[1:], strict=False)]
    before = planned(model, machine(memory_bytes, *gpus), overrides)
    after = planned(model, machine(memory_bytes + more[0], *grown), overrides)
    if before:
        assert after
        assert before.gpu_layers <= after.gpu_layers
        assert before.shape.slots <= after.shape.slots
        assert before.shape.context_tokens <= after.shape.context_tokens
        assert before.cpu_expert_layers >= after.cpu_expert_layers
