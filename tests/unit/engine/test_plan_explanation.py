from pathlib import PurePath
from typing import Any

import pytest

from engine.fitting.machine import GIB, Machine
from engine.fitting.model_size import model_size_of
from engine.plan import StoredModel, make_plan
from engine.plan_explanation import explain_model
from engine.settings import EngineSettings
from policies.call import ModelCard
from tests.unit.engine.fitting.made_up_model import SMOLLM2

PLANNED = "planned: 4.3 GB of 8.6 GB are free, less 805.3 MB for gateway, preparer and system"
SMOL = model_size_of(SMOLLM2)


def stored(name: str, beside_bytes: int = 0) -> StoredModel:
    card = ModelCard(name=name, digest="0" * 64, size_bytes=1, modified_at=0.0)
    return StoredModel(card=card, model_file="/f", size=SMOL, beside_bytes=beside_bytes)


def lines(*names: str, memory_bytes: int = 8 * GIB, free_bytes: int | None = None, **stated: Any) -> list[str]:
    machine = Machine(cores=8, memory_bytes=memory_bytes, available_bytes=free_bytes)
    settings = EngineSettings(**stated)
    plan = make_plan(settings, map(stored, names), machine=machine, run_folder=PurePath("/run"))
    return list(explain_model(stored(names[0]), settings, machine, plan))


def test_all_of_one_model_where_memory_is_free() -> None:
    assert lines("a:1", free_bytes=4 * GIB) == [
        f"memory budget 3.5 GB for all workers together ({PLANNED})",
        "slots 8 (planned)",
        "context 4096 tokens a slot (planned; the model states 8192)",
        "keys and values f16 (fits unquantised); flash attention on",
        "batch 512 tokens a step (planned)",
        "threads 4 (its share of 8 cores less one for the gateway, at least 1)",
        "CPU: 30 layers and the output layer, needs 1.1 GB of 3.0 GB",
        "  weights 98.9 MB",
        "  KV 755.0 MB (8 slots x 4096 tokens x 22.5 KiB)",
        "  compute buffers 202.5 MB (estimated)",
        "  worker process 68.7 MB (estimated)",
        "total 1.1 GB",
        "the worker for embeddings needs 488.8 MB and fits beside the chat worker",
        "more memory would change nothing",
    ]


def test_what_is_stated_and_what_is_tight() -> None:
    found = lines("a:1", memory_budget_mib=500, threads=2)
    assert found[0] == "memory budget 524.3 MB for all workers together (config.yaml)"
    assert "threads 2 (config.yaml; the machine has 8 cores)" in found
    assert found[-2].endswith("takes turns with the chat worker: they do not fit together")
    assert found[-1].startswith("with 131.1 MB more memory: slots ")


@pytest.mark.parametrize(("embeddings", "lines_of_it"), [(True, 1), (False, 0)])
def test_of_several_models_each_is_told_of_the_others_preparers(embeddings: bool, lines_of_it: int) -> None:
    found = lines("a:1", "b:1", "c:1", embeddings=embeddings)
    assert "less 805.3 MB for gateway, preparer and system and 2 more preparers)" in found[0]
    assert len([line for line in found if "embeddings" in line]) == lines_of_it


def test_what_is_loaded_beside_the_model_has_a_line_and_its_room() -> None:
    machine, settings = Machine(cores=2, memory_bytes=8 * GIB), EngineSettings(memory_budget_mib=700)
    plan = make_plan(settings, [stored("a:1", beside_bytes=10**8)], machine=machine, run_folder=PurePath("/run"))
    told = explain_model(stored("a:1", beside_bytes=10**8), settings, machine, plan)
    assert any(line.startswith("adapters and projector 100.0 MB besides, ") for line in told)
    assert any(line.endswith("of 634.0 MB") for line in told)
    assert next(process.needs_bytes for process in plan.processes if process.role == "chat") <= 634 * 10**6
