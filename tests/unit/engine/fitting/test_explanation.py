from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.fitting.explanation import explain, refusal_text, size_text
from engine.fitting.ladder import Overrides
from engine.fitting.machine import GIB, Gpu, Machine
from engine.fitting.model_size import LayerSize, ModelSize, model_size_of
from engine.fitting.placement import DoesNotFit, Fit, fit
from tests.unit.engine.fitting.made_up_model import LLAMA_2_7B, SMOLLM2, experts, machine, nvidia, small

GB = 10**9


def lines(model: ModelSize, on: Machine, **overrides: Any) -> list[str]:
    stated = Overrides(**overrides)
    return [line.text for line in explain(fit(model, on, stated), model, on, stated)]


def refused(model: ModelSize, on: Machine, **overrides: Any) -> str:
    stated = Overrides(**overrides)
    with pytest.raises(DoesNotFit) as fault:
        fit(model, on, stated)
    return refusal_text(fault.value, model, ("do this", "do that"))


def test_the_small_model_on_a_small_machine() -> None:
    assert lines(model_size_of(SMOLLM2), machine(GIB, cores=1), slots=4) == [
        "slots 4 (config.yaml)",
        "context 4096 tokens a slot (planned; the model states 8192)",
        "keys and values f16 (fits unquantised); flash attention on",
        "batch 512 tokens a step (planned)",
        "threads 1 (its share of 1 cores less one for the gateway, at least 1)",
        "CPU: 30 layers and the output layer, needs 696.4 MB of 738.2 MB",
        "  weights 98.9 MB",
        "  KV 377.5 MB (4 slots x 4096 tokens x 22.5 KiB)",
        "  compute buffers 152.2 MB (estimated)",
        "  worker process 67.9 MB (estimated)",
        "total 696.4 MB",
    ]


def test_a_quantised_type_says_why() -> None:
    text = lines(model_size_of(LLAMA_2_7B), machine(8 * GIB))
    assert "keys and values q8_0 (f16 does not fit); flash attention on" in text


def test_a_gpu_is_marked_as_not_run() -> None:
    text = lines(experts(), machine(16 * GIB, nvidia(int(2.2 * GB))), threads=3, kv_type="q8_0")
    assert "threads 3 (config.yaml; the machine has 4 cores)" in text
    assert "keys and values q8_0 (config.yaml); flash attention on" in text
    assert any("CPU: 0 layers, experts of the first" in line for line in text)
    assert any("0 of 4 layers" in line for line in text)
    assert any(line.startswith("  cuda runtime") for line in text)
    assert text[-1] == "planned by arithmetic alone: this kind of GPU has not been run on hardware"


def test_what_is_not_stated_or_off_is_said() -> None:
    text = lines(small(context_length=0, allows_flash=False), machine())
    assert "context 4096 tokens a slot (planned; the model states none)" in text
    assert "keys and values f16 (fits unquantised); flash attention off" in text


@pytest.mark.parametrize(("held", "full"), [({"state_bytes": 10}, True), ({"window_tokens": 9}, False)])
def test_what_the_product_leaves_out_is_said(held: dict[str, int], full: bool) -> None:
    layer = LayerSize(dense_bytes=1, key_numbers=32, value_numbers=32, **held)
    text = lines(small(layers=(layer,)), machine(), full_windows=full)
    assert any("recurrent layers and small windows counted apart" in line for line in text)


def test_a_refusal_shows_the_arithmetic_and_the_remedies() -> None:
    text = refused(model_size_of(LLAMA_2_7B), machine(8 * GIB), slots=4, kv_type="f16", memory_bytes=4 * GB)
    assert text == (
        "CPU needs 5.0 GB: weights 3.8 GB + KV in f16 1.1 GB (4 slots x 512 tokens x 512.0 KiB) + compute buffers "
        "20.1 MB + process 67.6 MB; the budget is 4.0 GB; 985.4 MB are missing: do this, or do that"
    )


def test_a_refusal_names_every_device() -> None:
    text = refused(small(), machine(8 * GIB, nvidia(GB)), gpu_layers=5, context_tokens=16384, slots=1)
    assert text.startswith("CPU needs")
    assert "; GPU 0 needs" in text


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1049, "1.0 kB"), (2_500_000, "2.5 MB"), (5_100_000_000, "5.1 GB")],
)
def test_sizes_are_rounded(count: int, shown: str) -> None:
    assert size_text(count) == shown


memories = some.integers(0, 12 * GB)
kinds = some.sampled_from(["nvidia", "amd", "apple"])


@given(
    some.sampled_from([small(), experts(), small(shares_output=True)]),
    memories,
    some.lists(some.builds(nvidia, memories, kind=kinds), max_size=2),
)
def test_the_lines_sum_to_the_total(model: ModelSize, memory_bytes: int, gpus: list[Gpu]) -> None:
    on = machine(memory_bytes, *gpus)
    found = fit_or_nearest(model, on)
    assert sum(line.bytes for line in explain(found, model, on, Overrides())) == found.total_bytes


def fit_or_nearest(model: ModelSize, on: Machine) -> Fit:
    try:
        return fit(model, on, Overrides())
    except DoesNotFit as fault:
        return fault.nearest
