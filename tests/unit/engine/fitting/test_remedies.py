from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.fitting.ladder import Overrides
from engine.fitting.machine import GIB, MIB, Machine
from engine.fitting.model_size import ModelSize, model_size_of
from engine.fitting.placement import DoesNotFit, fit
from engine.fitting.remedies import remedies, with_more_memory
from tests.unit.engine.fitting.made_up_model import LLAMA_2_7B, SMOLLM2, machine, nvidia, small

SMOL = model_size_of(SMOLLM2)


def told(model: ModelSize, on: Machine, *, enough: int = GIB, **stated: Any) -> list[str]:
    overrides = Overrides(**stated)
    with pytest.raises(DoesNotFit) as refused:
        fit(model, on, overrides)
    *changes, last = remedies(refused.value, model, on, overrides, budget_bytes=enough)
    assert last == "take a model that is quantised further"
    return changes


def test_each_statement_that_would_be_enough_is_named_with_its_value() -> None:
    assert told(SMOL, machine(), memory_bytes=300 * MIB, slots=8, context_tokens=4096) == [
        "set engine.slots: 1",
        "set engine.context_tokens: 1024",
        "set engine.memory_budget_mib: 1024",
    ]
    assert told(SMOL, machine(), memory_bytes=300 * MIB, slots=1, kv_type="f16", context_tokens=4096) == [
        "set engine.context_tokens: 1024",
        "set engine.kv_type: q4_0",
        "set engine.memory_budget_mib: 1024",
    ]


def test_when_none_is_enough_all_together_are_named() -> None:
    changes = told(SMOL, machine(), memory_bytes=240 * MIB, slots=8, context_tokens=8192, kv_type="f16")
    assert changes[0] == "set engine.slots: 1 and engine.context_tokens: 1024"


def test_what_no_statement_causes_needs_a_larger_budget_or_machine() -> None:
    assert told(SMOL, machine(), memory_bytes=100 * MIB) == ["set engine.memory_budget_mib: 1024"]
    assert told(model_size_of(LLAMA_2_7B), machine(4 * GIB), enough=5 * GIB) == ["run it on a machine with more memory"]


def test_what_a_gpu_lacks_is_no_matter_of_the_budget() -> None:
    assert told(small(), machine(8 * GIB, nvidia(6 * 10**8)), gpu_layers=5, slots=1, context_tokens=4096) == [
        "set engine.gpu_layers: 1"
    ]


@given(some.integers(190, 900), some.sampled_from([None, 1, 4, 8]), some.sampled_from([None, 512, 4096]))
@settings(max_examples=50)
def test_what_is_told_is_true(budget_mib: int, slots: int | None, context: int | None) -> None:
    overrides = Overrides(memory_bytes=budget_mib * MIB, slots=slots, context_tokens=context, kv_type="f16")
    try:
        fit(SMOL, machine(), overrides)
    except DoesNotFit as refused:
        for text in remedies(refused, SMOL, machine(), overrides, budget_bytes=GIB)[:-2]:
            pairs = [part.removeprefix("engine.").split(": ") for part in text.removeprefix("set ").split(" and ")]
            values = {name: value if name == "kv_type" else int(value) for name, value in pairs}
            changed = {"slots": slots, "context_tokens": context, "kv_type": "f16", **values}
            fit(SMOL, machine(), Overrides(memory_bytes=budget_mib * MIB, **changed))


def more(on: Machine, **stated: Any) -> str:
    overrides = Overrides(most_context_tokens=4096, **stated)
    return with_more_memory(fit(SMOL, on, overrides), SMOL, on, overrides)


def test_what_more_memory_would_bring() -> None:
    assert more(machine(GIB), memory_bytes=500 * MIB) == ("with 131.1 MB more memory: slots 6 instead of 4")
    assert more(machine(GIB), memory_bytes=704 * MIB, slots=4, kv_type="q8_0") == "more memory would change nothing"
    assert "keys and values in f16 instead of q8_0" in more(machine(GIB), memory_bytes=900 * MIB, slots=8)
