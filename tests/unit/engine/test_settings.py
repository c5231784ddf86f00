from typing import Any

import pytest

from engine.settings import EngineSettings


def test_what_is_left_out_is_planned() -> None:
    found = EngineSettings()
    planned = ("slots", "context_tokens", "batch_tokens", "threads", "kv_type", "memory_mib", "memory_budget_mib")
    assert {getattr(found, name) for name in (*planned, "gpu_layers", "kv_cells")} == {None}


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"slots": 0}, "slots must be 1 to 64"),
        ({"slots": 65}, "slots must be 1 to 64"),
        ({"context_tokens": 63}, "context_tokens must be at least 64"),
        ({"slots": 8, "batch_tokens": 7}, "batch_tokens must be at least slots and at most 8192"),
        ({"batch_tokens": 0}, "batch_tokens must be at least slots"),
        ({"batch_tokens": 8193}, "at most 8192"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"kv_cells": 63}, "kv_cells must be at least 64"),
        ({"idle_memory_mib": -1}, "idle_memory_mib must be at least 0"),
        ({"memory_mib": 0}, "memory_mib must be at least 1"),
        ({"memory_budget_mib": 0}, "memory_budget_mib must be at least 1"),
        ({"gpu_layers": -1}, "gpu_layers must be at least 0"),
        ({"keep_alive_s": 0}, "keep_alive_s must be above 0"),
        ({"keep_alive_most_s": -1}, "keep_alive_most_s must be at least 0"),
        ({"swap_patience_s": 601}, "swap_patience_s must be 0 to 600"),
        ({"replicas": {"m": 0}}, "replicas must be 1 to 32 for each model"),
        ({"stuck_after_s": 0.5}, "stuck_after_s must be 1 to 3600"),
    ],
)
def test_a_value_out_of_range_is_named(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EngineSettings(**stated)


def test_the_bounds_themselves_are_taken() -> None:
    EngineSettings(
        slots=64, context_tokens=64, batch_tokens=64, threads=1, memory_mib=1, memory_budget_mib=1, gpu_layers=0
    )
    EngineSettings(slots=1, batch_tokens=8192)
