from pathlib import PurePath
from typing import Any

import pytest

from engine.plan import GIB, MIB, Plan, PlanFault, ProcessPlan, StoredModel, make_plan, worker_memory_bytes
from engine.settings import EngineSettings
from policies.call import ModelCard, ModelDetails

RUN = PurePath("/home/run")


def card(name: str = "tiny:latest", **details: Any) -> ModelCard:
    facts = ModelDetails(**{"context_length": 8192, "embedding_length": 576, **details})
    return ModelCard(name=name, digest="0" * 64, size_bytes=98_000_000, modified_at=0.0, details=facts)


def stored(*names: str) -> list[StoredModel]:
    return [StoredModel(card=card(name), model_file=f"/blobs/{name}") for name in names]


def plan(settings: EngineSettings | None = None, models: list[StoredModel] | None = None, cores: int = 8) -> Plan:
    return make_plan(settings or EngineSettings(), models or stored("tiny:latest"), cores=cores, run_folder=RUN)


def threads(found: Plan) -> list[int]:
    return [process.threads for process in found.processes if process.role != "preparer"]


def test_a_model_gets_a_preparer_and_two_workers() -> None:
    processes = plan().processes
    assert [(process.name, process.role) for process in processes] == [
        ("preparer-0", "preparer"),
        ("worker-0", "chat"),
        ("worker-1", "embedding"),
    ]
    assert {process.model_file for process in processes} == {"/blobs/tiny:latest"}
    assert [process.socket for process in processes][1] == "/home/run/worker-0.sock"


def test_without_embeddings_there_is_one_worker_a_model() -> None:
    found = plan(EngineSettings(embeddings=False), stored("a:1", "b:1"))
    assert [(process.name, process.model) for process in found.processes] == [
        ("preparer-0", "a:1"),
        ("preparer-1", "b:1"),
        ("worker-0", "a:1"),
        ("worker-1", "b:1"),
    ]


def test_models_are_chosen_by_name_each_once_and_latest_may_be_left_out() -> None:
    found = plan(EngineSettings(models=("tiny", "b:1", "tiny:latest")), stored("tiny:latest", "b:1", "c:1"))
    assert [found_card.name for found_card in found.cards] == ["tiny:latest", "b:1"]


def test_an_empty_list_runs_nothing() -> None:
    assert plan(EngineSettings(models=())) == Plan()


def test_a_model_that_the_store_lacks_is_a_fault_that_names_it() -> None:
    with pytest.raises(PlanFault, match=r"names 'gone', which the store does not hold \(it holds: tiny:latest\)"):
        plan(EngineSettings(models=("gone",)))
    with pytest.raises(PlanFault, match="it holds: none"):
        make_plan(EngineSettings(models=("gone",)), [], cores=2, run_folder=RUN)


@pytest.mark.parametrize(("cores", "expected"), [(1, [1, 1]), (2, [1, 1]), (3, [1, 1]), (4, [2, 1]), (9, [4, 4])])
def test_workers_share_the_cores_but_one(cores: int, expected: list[int]) -> None:
    assert threads(plan(cores=cores)) == expected


def test_left_over_cores_go_to_chat_workers_first() -> None:
    assert threads(plan(models=stored("a:1", "b:1"), cores=7)) == [2, 2, 1, 1]


def test_fixed_threads_are_obeyed() -> None:
    assert threads(plan(EngineSettings(threads=3), cores=2)) == [3, 3]


def test_a_slot_never_has_more_context_than_the_model() -> None:
    found = plan(EngineSettings(context_tokens=32768))
    assert {process.context_tokens for process in found.processes} == {8192}
    assert (found.cards[0].slots, found.cards[0].slot_context_tokens) == (8, 8192)
    unknown = StoredModel(card=card(context_length=0), model_file="/blobs/x")
    assert plan(models=[unknown]).cards[0].slot_context_tokens == 4096


def test_the_memory_cap_leaves_room_for_file_cache_and_buffers() -> None:
    kv_bytes_of_smollm2 = 8 * 4096 * 30 * 2 * 192 * 2  # 30 layers, three KV heads of 64
    cap = worker_memory_bytes(card(), slots=8, context_tokens=4096)
    assert cap > 2 * 98_000_000 + GIB + kv_bytes_of_smollm2
    assert cap < 8 * GIB


def test_an_unknown_width_is_taken_as_a_wide_one() -> None:
    narrow = worker_memory_bytes(card(embedding_length=4096), slots=1, context_tokens=64)
    assert worker_memory_bytes(card(embedding_length=0), slots=1, context_tokens=64) > narrow


def test_a_set_memory_cap_is_used_for_workers_only() -> None:
    preparer, chat, embedding = plan(EngineSettings(memory_mib=300)).processes
    assert chat.memory_bytes == embedding.memory_bytes == 300 * MIB
    assert preparer.memory_bytes == GIB


def test_a_socket_path_that_does_not_fit_names_the_remedy() -> None:
    folder = PurePath("/" + "x" * 99)
    with pytest.raises(PlanFault, match=r"must stay below 100: use a home with a shorter path \(--home"):
        make_plan(EngineSettings(), stored("tiny:latest"), cores=2, run_folder=folder)


def test_the_longest_socket_path_that_fits() -> None:
    folder = PurePath("/" + "x" * (99 - len("//preparer-0.sock")))
    found: tuple[ProcessPlan, ...] = make_plan(
        EngineSettings(), stored("tiny:latest"), cores=2, run_folder=folder
    ).processes
    assert len(found[0].socket) == 99
