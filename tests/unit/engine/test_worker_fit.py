from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.fitting.ladder import Overrides
from engine.fitting.machine import GIB, MIB, Machine
from engine.fitting.model_size import LayerSize, ModelSize, model_size_of
from engine.fitting.placement import DoesNotFit, Fit
from engine.settings import EngineSettings
from engine.worker_fit import (
    PREPARER_BYTES,
    ModelFit,
    VectorsDoNotFit,
    budget_bytes,
    cap_bytes,
    enough_bytes,
    fit_model,
    gpu_share,
    needs_bytes,
    stated_overrides,
)
from tests.unit.engine.fitting.made_up_model import SMOLLM2, machine, nvidia, small

SMOL = model_size_of(SMOLLM2)


def fitted(budget_mib: int, size: ModelSize = SMOL, on: Machine | None = None, **stated: Any) -> ModelFit:
    return fit_model(EngineSettings(**stated), size, on or machine(), budget_mib * MIB)


def embedding(found: ModelFit) -> Fit:
    assert found.embedding is not None
    return found.embedding


def test_a_budget_is_stated_or_what_the_machine_has_left_less_a_preparer_for_each_further_model() -> None:
    assert budget_bytes(EngineSettings(memory_budget_mib=7), machine(), 3) == 7 * MIB
    assert budget_bytes(EngineSettings(), machine(GIB), 1) == 704 * MIB
    assert budget_bytes(EngineSettings(), machine(GIB), 3) == 704 * MIB - 2 * PREPARER_BYTES
    assert budget_bytes(EngineSettings(), machine(GIB), 0) == 704 * MIB
    assert budget_bytes(EngineSettings(), machine(GIB), 100) == 0


def test_a_gpu_is_shared_equally_and_a_second_one_left_alone() -> None:
    two = machine(GIB, nvidia(8 * GIB), nvidia(4 * GIB))
    assert [gpu.free_bytes for gpu in gpu_share(two, 4).gpus] == [2 * GIB]
    assert gpu_share(machine(), 2).gpus == gpu_share(machine(), 0).gpus == ()


def test_what_is_stated_and_what_is_left_open() -> None:
    assert stated_overrides(EngineSettings(), SMOL, 5) == Overrides(memory_bytes=5, most_context_tokens=4096)
    stated = EngineSettings(slots=2, context_tokens=9000, batch_tokens=64, threads=3, kv_type="q8_0", gpu_layers=1)
    found = stated_overrides(stated, SMOL, 5)
    assert (found.slots, found.context_tokens, found.batch_tokens) == (2, 8192, 64)
    assert (found.threads, found.kv_type, found.gpu_layers) == (3, "q8_0", 1)
    assert stated_overrides(stated, small(context_length=0), 5).context_tokens == 9000


def test_with_memory_the_chat_worker_leaves_room_for_embeddings() -> None:
    found = fitted(1500)
    assert found.chat.shape.slots == 8
    assert needs_bytes(found.chat) + needs_bytes(embedding(found)) <= 1500 * MIB
    fewer = fitted(1000)
    assert 2 <= fewer.chat.shape.slots < 8
    assert needs_bytes(fewer.chat) + needs_bytes(embedding(fewer)) <= 1000 * MIB


def test_with_less_they_take_turns() -> None:
    found = fitted(500)
    assert found.chat.shape.context_tokens == 4096
    assert needs_bytes(found.chat) <= 500 * MIB
    assert needs_bytes(embedding(found)) <= 500 * MIB < needs_bytes(found.chat) + needs_bytes(embedding(found))


def test_room_is_not_made_at_the_price_of_answers_or_layers() -> None:
    stated = fitted(900, slots=8, context_tokens=2048)
    assert stated.chat.shape.kv_type != "q4_0"
    on = machine(8 * GIB, nvidia(8 * GIB))
    found = fitted(2000, small(), on)
    assert found.chat.gpu_layers == 5
    assert embedding(found).gpu_layers == 0


def test_an_embedding_worker_holds_one_input_and_a_batch() -> None:
    shape = embedding(fitted(4000)).shape
    assert (shape.slots, shape.context_tokens, shape.batch_tokens, shape.kv_type) == (1, 4096 + 512, 512, "f16")
    own = embedding(fitted(4000, batch_tokens=100, context_tokens=8192)).shape
    assert (own.context_tokens, own.batch_tokens) == (8192 + 100, 100)
    short = embedding(fitted(4000, context_tokens=128)).shape
    assert (short.context_tokens, short.batch_tokens) == (128 + 64, 64)


def test_an_encoder_reads_an_input_in_one_step() -> None:
    size = small(layers=(LayerSize(dense_bytes=10**8),))
    assert embedding(fitted(4000, size)).shape.batch_tokens == 4096
    assert embedding(fitted(8000, size, context_tokens=16384)).shape.batch_tokens == 8192


def test_without_embeddings_there_is_no_such_worker() -> None:
    assert fitted(500, embeddings=False).embedding is None


def test_a_refusal_says_which_worker_it_is_of_and_how_much_is_enough() -> None:
    with pytest.raises(DoesNotFit) as chat:
        fitted(150)
    assert not isinstance(chat.value, VectorsDoNotFit)
    enough = enough_bytes(EngineSettings(), SMOL, machine(), chat.value.nearest)
    fit_model(EngineSettings(), SMOL, machine(), enough)
    with pytest.raises(VectorsDoNotFit):
        fit_model(EngineSettings(), SMOL, machine(), needs_bytes(chat.value.nearest))
    assert enough > needs_bytes(chat.value.nearest)


def test_the_cap_is_the_plan_the_weights_again_and_a_gib_unless_it_is_stated() -> None:
    chat = fitted(1500).chat
    assert cap_bytes(EngineSettings(), chat, SMOL) == needs_bytes(chat) + SMOL.weights_bytes + GIB
    assert cap_bytes(EngineSettings(memory_mib=300), chat, SMOL) == 300 * MIB


@pytest.mark.parametrize(("kind", "counted"), [("nvidia", False), ("apple", True)])
def test_memory_of_a_gpu_counts_where_it_is_the_machines_own(kind: str, counted: bool) -> None:
    chat = fitted(6000, small(), machine(8 * GIB, nvidia(8 * GIB, kind=kind)), embeddings=False).chat
    assert chat.gpu_layers == 5
    assert needs_bytes(chat) == (chat.total_bytes if counted else chat.devices[0].total_bytes)


@given(some.integers(0, 3000), some.booleans())
@settings(max_examples=40)
def test_no_worker_ever_exceeds_the_budget(budget_mib: int, embeddings: bool) -> None:
    try:
        found = fitted(budget_mib, embeddings=embeddings)
    except DoesNotFit:
        return
    assert needs_bytes(found.chat) <= budget_mib * MIB
    assert found.embedding is None or needs_bytes(found.embedding) <= budget_mib * MIB


def test_slots_share_the_cells_that_are_stated() -> None:
    found = fitted(4000, slots=8, context_tokens=2048, kv_cells=3072).chat
    assert (found.shape.slots, found.shape.context_tokens, found.shape.cells) == (8, 2048, 3072)
    fewer = fitted(4000, slots=8, context_tokens=2048, kv_cells=1024).chat
    assert (fewer.shape.context_tokens, fewer.shape.cells) == (1024, 1024)
