from pathlib import PurePath
from typing import Any

import msgspec
import pytest

from engine.fitting.machine import GIB, MIB, Gpu, Machine
from engine.fitting.model_size import ModelSize, model_size_of
from engine.plan import Plan, PlanFault, ProcessPlan, StoredModel, make_plan
from engine.settings import EngineSettings
from policies.call import ModelCard, ModelDetails
from tests.unit.engine.fitting.made_up_model import LLAMA_2_7B, SMOLLM2, experts, nvidia, small

SMOL = model_size_of(SMOLLM2)
RUN = PurePath("/home/run")


def card(name: str = "tiny:latest", **details: Any) -> ModelCard:
    facts = ModelDetails(**{"context_length": 8192, "embedding_length": 576, **details})
    return ModelCard(name=name, digest="0" * 64, size_bytes=98_000_000, modified_at=0.0, details=facts)


def stored(*names: str, size: ModelSize = SMOL) -> list[StoredModel]:
    return [StoredModel(card=card(name), model_file=f"/blobs/{name}", size=size) for name in names]


def plan(
    settings: EngineSettings | None = None,
    models: list[StoredModel] | None = None,
    cores: int = 8,
    memory_bytes: int = 8 * GIB,
    gpus: tuple[Gpu, ...] = (),
) -> Plan:
    machine = Machine(cores=cores, memory_bytes=memory_bytes, gpus=gpus)
    return make_plan(settings or EngineSettings(), models or stored("tiny:latest"), machine=machine, run_folder=RUN)


def workers(found: Plan) -> list[ProcessPlan]:
    return [process for process in found.processes if process.role != "preparer"]


def threads(found: Plan) -> list[int]:
    return [process.threads for process in workers(found)]


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
        make_plan(EngineSettings(models=("gone",)), [], machine=Machine(cores=2, memory_bytes=GIB), run_folder=RUN)


@pytest.mark.parametrize(("cores", "expected"), [(1, [1, 1]), (2, [1, 1]), (3, [1, 1]), (4, [2, 1]), (9, [4, 4])])
def test_workers_share_the_cores_but_one(cores: int, expected: list[int]) -> None:
    assert threads(plan(cores=cores)) == expected


def test_left_over_cores_go_to_chat_workers_first() -> None:
    assert threads(plan(models=stored("a:1", "b:1"), cores=7)) == [2, 2, 1, 1]


def test_fixed_threads_are_obeyed() -> None:
    assert threads(plan(EngineSettings(threads=3), cores=2)) == [3, 3]


def test_what_never_fits_together_shares_no_cores() -> None:
    two = stored("a:1", "b:1", size=small())
    assert threads(plan(EngineSettings(embeddings=False), two, cores=9)) == [4, 4]
    assert threads(plan(EngineSettings(embeddings=False, memory_budget_mib=1200), two, cores=9)) == [8, 8]
    # of four workers, at most three of the smallest are there at once
    some = plan(EngineSettings(memory_budget_mib=1800), two, cores=9)
    needs = sorted(process.needs_bytes for process in workers(some))
    together = max(count for count in range(5) if sum(needs[:count]) <= some.memory_budget_bytes)
    assert together < 4
    assert threads(some) == [8 // together] * 4


def test_slots_and_context_are_as_they_were_where_memory_allows() -> None:
    found = plan()
    assert (found.cards[0].slots, found.cards[0].slot_context_tokens) == (8, 4096)
    chat, embedding = workers(found)
    assert (chat.slots, chat.context_tokens, chat.batch_tokens, chat.kv_type) == (8, 4096, 512, "f16")
    assert (chat.flash_attention, chat.kv_cells, chat.gpu_layers) == (True, 8 * 4096, 0)
    assert (embedding.slots, embedding.context_tokens, embedding.kv_type, embedding.kv_cells) == (8, 4096, "f16", 0)
    assert found.memory_budget_bytes == 8 * GIB - 256 * MIB - GIB // 2
    assert chat.needs_bytes + embedding.needs_bytes <= found.memory_budget_bytes


def test_one_core_and_one_gib_serve_the_small_model() -> None:
    found = plan(cores=1, memory_bytes=GIB)
    chat, embedding = workers(found)
    assert (chat.threads, chat.context_tokens) == (1, 4096)
    assert chat.slots >= 4
    assert max(chat.needs_bytes, embedding.needs_bytes) <= found.memory_budget_bytes == 704 * MIB


def test_what_is_stated_overrules() -> None:
    settings = EngineSettings(slots=3, context_tokens=1000, batch_tokens=100, kv_type="q8_0")
    chat, embedding = workers(plan(settings))
    assert (chat.slots, chat.context_tokens, chat.batch_tokens, chat.kv_type) == (3, 1000, 100, "q8_0")
    assert (embedding.slots, embedding.context_tokens, embedding.batch_tokens) == (3, 1000, 100)
    assert chat.kv_cells == 3072  # whole blocks of 256


def test_a_slot_never_has_more_context_than_the_model() -> None:
    found = plan(EngineSettings(context_tokens=32768))
    assert {process.context_tokens for process in found.processes} == {8192}
    assert (found.cards[0].slots, found.cards[0].slot_context_tokens) == (8, 8192)
    unknown = StoredModel(card=card(context_length=0), model_file="/blobs/x", size=small(context_length=0))
    assert plan(models=[unknown]).cards[0].slot_context_tokens == 4096
    assert plan(EngineSettings(context_tokens=5000), [unknown]).cards[0].slot_context_tokens == 5000


def test_the_memory_cap_leaves_room_for_a_second_copy_and_a_gib() -> None:
    chat, embedding = workers(plan())
    assert chat.memory_bytes == chat.needs_bytes + SMOL.weights_bytes + GIB
    assert embedding.memory_bytes == embedding.needs_bytes + SMOL.weights_bytes + GIB
    assert plan().processes[0].needs_bytes == 0  # a preparer is in what the machine keeps


def test_what_does_not_fit_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(PlanFault) as refused:
        plan(EngineSettings(memory_budget_mib=100, embeddings=False))
    assert str(refused.value) == (
        "model tiny:latest does not fit: CPU needs 195.3 MB: weights 98.9 MB + KV in q4_0 3.3 MB "
        "(1 slots x 512 tokens x 6.3 KiB) + compute buffers 25.9 MB + process 67.3 MB; the budget is 104.9 MB; "
        "90.5 MB are missing: set engine.memory_budget_mib: 187, or take a model that is quantised further"
    )


def test_each_model_that_does_not_fit_has_a_line() -> None:
    models = [*stored("big:1", "huge:1", size=model_size_of(LLAMA_2_7B)), *stored("tiny:latest")]
    with pytest.raises(PlanFault) as refused:
        plan(EngineSettings(memory_budget_mib=2000), models)
    assert [line.split(":1 ")[0] for line in str(refused.value).splitlines()] == ["model big", "model huge"]


def test_models_that_fit_one_at_a_time_are_no_fault() -> None:
    settings = EngineSettings(memory_budget_mib=600, embeddings=False)
    found = plan(settings, stored("a:1", "b:1"))
    needs = [process.needs_bytes for process in workers(found)]
    assert max(needs) <= found.memory_budget_bytes == 600 * MIB < sum(needs)


def test_a_worker_for_embeddings_that_does_not_fit_says_how_to_do_without() -> None:
    settings = EngineSettings(memory_budget_mib=420, slots=1, context_tokens=8192, kv_type="q4_0")
    with pytest.raises(PlanFault, match=r"^model tiny:latest: its worker for embeddings does not fit: .*: set engine."):
        plan(settings)
    assert len(workers(plan(EngineSettings(memory_budget_mib=420, slots=1, embeddings=False)))) == 1


def test_experts_stay_on_the_cpu_where_the_gpu_cannot_hold_them() -> None:
    mixture = stored("moe:1", size=experts())
    on_gpu = workers(plan(models=mixture, gpus=(nvidia(2 * GIB),)))[0]
    assert (on_gpu.gpu_layers, on_gpu.cpu_expert_layers) == (5, 2)
    assert workers(plan(models=mixture))[0].cpu_expert_layers == 0  # nothing to keep where all is the CPU's


def test_what_is_loaded_beside_a_model_takes_its_part_of_the_budget() -> None:
    [model] = stored("tiny:latest")
    beside = msgspec.structs.replace(model, beside_bytes=200 * MIB)
    chat, *_ = workers(plan(EngineSettings(memory_budget_mib=700), [beside]))
    assert chat.needs_bytes + 200 * MIB <= 700 * MIB
    with pytest.raises(PlanFault, match=r"^model tiny:latest does not fit beside 209.7 MB for its adapters and") as no:
        plan(EngineSettings(memory_budget_mib=300), [beside])
    enough = int(str(no.value).split("memory_budget_mib: ")[1].split(",")[0])
    plan(EngineSettings(memory_budget_mib=enough), [beside])


def test_idle_prefixes_have_their_room_in_plan_and_cap() -> None:
    chat, embedding = workers(plan())
    assert (chat.idle_bytes, embedding.idle_bytes) == (720 * MIB, 0), "as much as its cells take"
    without, _ = workers(plan(EngineSettings(idle_memory_mib=0)))
    assert (without.idle_bytes, chat.needs_bytes - without.needs_bytes) == (0, 720 * MIB)
    assert chat.memory_bytes - without.memory_bytes == 720 * MIB
    capped, _ = workers(plan(EngineSettings(memory_mib=3000)))
    assert (capped.idle_bytes, capped.memory_bytes) == (720 * MIB, 3000 * MIB)
    tight = workers(plan(EngineSettings(memory_budget_mib=600, embeddings=False), stored("a:1", "b:1")))
    assert [process.idle_bytes for process in tight] == [0, 0]
    on_gpu = workers(plan(gpus=(nvidia(8 * GIB),)))[0]
    assert (on_gpu.gpu_layers > 0, on_gpu.idle_bytes) == (True, 0)


def test_more_for_idle_prefixes_than_the_budget_has_is_refused() -> None:
    with pytest.raises(PlanFault, match=r"^tiny:latest needs \d+ MiB and engine.idle_memory_mib 500 besides, together"):
        plan(EngineSettings(idle_memory_mib=500, memory_budget_mib=1200, embeddings=False))


def test_a_budget_above_the_machine_is_refused() -> None:
    with pytest.raises(PlanFault, match=r"engine.memory_budget_mib is 9000, and this machine has 8192 MiB of memory"):
        plan(EngineSettings(memory_budget_mib=9000))


def test_what_the_model_cannot_do_is_refused_by_the_settings_name() -> None:
    odd = stored("odd:1", size=small(quantises_kv=False))
    with pytest.raises(PlanFault, match=r"^engine.kv_type is q8_0, but a head .* use f16 \(model odd:1\)$"):
        plan(EngineSettings(kv_type="q8_0"), odd)
    with pytest.raises(PlanFault, match=r"^engine.gpu_layers is 2, .*the machine has no GPU \(model tiny:latest\)$"):
        plan(EngineSettings(gpu_layers=2))


def test_models_share_a_gpu_and_embeddings_stay_on_the_cpu() -> None:
    one = plan(gpus=(nvidia(2 * GIB),))
    assert [process.gpu_layers for process in workers(one)] == [31, 0]
    two = plan(models=stored("a:1", "b:1", size=small()), gpus=(nvidia(3 * GIB),))
    alone = plan(models=stored("a:1", size=small()), gpus=(nvidia(GIB + GIB // 2),))
    assert workers(two)[0].gpu_layers == workers(two)[1].gpu_layers == workers(alone)[0].gpu_layers
    twice = plan(EngineSettings(replicas={"a:1": 2}), stored("a:1", size=small()), gpus=(nvidia(3 * GIB),))
    assert [process.gpu_layers for process in workers(twice)] == [workers(alone)[0].gpu_layers] * 2 + [0]


def test_a_set_memory_cap_is_used_for_workers_only() -> None:
    preparer, chat, embedding = plan(EngineSettings(memory_mib=300)).processes
    assert chat.memory_bytes == embedding.memory_bytes == 300 * MIB
    assert preparer.memory_bytes == GIB


def test_a_socket_path_that_does_not_fit_names_the_remedy() -> None:
    folder = PurePath("/" + "x" * 99)
    with pytest.raises(PlanFault, match=r"must stay below 100: use a home with a shorter path \(--home"):
        make_plan(
            EngineSettings(), stored("tiny:latest"), machine=Machine(cores=2, memory_bytes=GIB), run_folder=folder
        )


def test_the_longest_socket_path_that_fits() -> None:
    folder = PurePath("/" + "x" * (99 - len("//preparer-0.sock")))
    machine = Machine(cores=2, memory_bytes=GIB)
    found = make_plan(EngineSettings(), stored("tiny:latest"), machine=machine, run_folder=folder).processes
    assert len(found[0].socket) == 99


def test_a_model_may_have_several_chat_workers() -> None:
    found = plan(EngineSettings(replicas={"a": 2, "b:1": 1}), stored("a:latest", "b:1"))
    assert [(process.model, process.role) for process in workers(found)] == [
        ("a:latest", "chat"),
        ("a:latest", "chat"),
        ("b:1", "chat"),
        ("a:latest", "embedding"),
        ("b:1", "embedding"),
    ]
    assert len({process.socket for process in found.processes}) == 7


def test_replicas_of_a_model_that_is_not_served_are_a_fault_that_names_it() -> None:
    with pytest.raises(PlanFault, match=r"engine.replicas names 'b', which is not served \(these are: a:1\)"):
        plan(EngineSettings(replicas={"b": 2}), stored("a:1"))


@pytest.mark.parametrize("sandbox", ["required", "best"])
def test_every_process_is_told_what_its_walls_may_lack(sandbox: Any) -> None:
    found = plan(EngineSettings(sandbox=sandbox))
    assert {process.sandbox for process in found.processes} == {sandbox}
    assert {process.sandbox for process in plan().processes} == {"required"}


def test_weights_that_would_be_held_twice_are_read() -> None:
    def mapped(repacked_share: float, replicas: int = 1, gpus: tuple[Gpu, ...] = ()) -> set[bool]:
        size = msgspec.structs.replace(SMOL, repacked_bytes=int(repacked_share * SMOL.weights_bytes))
        settings = EngineSettings(replicas={"tiny": replicas})
        found = plan(settings, stored("tiny:latest", size=size), memory_bytes=64 * GIB, gpus=gpus)
        return {process.mapped_weights for process in workers(found)}

    assert mapped(0.0) == {True}
    assert mapped(0.7) == {False}  # a chat worker and one for embeddings: 2 x 0.7 and the file against 2
    assert mapped(0.7, replicas=4) == {True}  # 5 x 0.7 and the file against 5
    assert mapped(0.7, gpus=(nvidia(8 * GIB),)) == {True, False}  # what is on the GPU is mapped from
