"""Projectors at the processes of their models."""

import pytest
from msgspec import structs

from engine.fitting.machine import MIB
from engine.plan import Plan, PlanFault, ProcessPlan
from engine.projector_plan import ENCODING_BYTES, StoredProjector, with_projectors
from policies.call import ModelCard


def process(role: str, model: str = "seer:latest") -> ProcessPlan:
    return ProcessPlan(
        name=f"{role}-{model}",
        role=role,  # type: ignore[arg-type]
        model=model,
        model_file="/blobs/model",
        socket="/run/x",
        slots=2,
        context_tokens=512,
        batch_tokens=512,
        threads=1,
        memory_bytes=1000 * MIB,
        timeout_s=2.0,
        needs_bytes=500 * MIB,
    )


CARD = ModelCard(name="seer:latest", digest="a" * 64, size_bytes=1, modified_at=0.0)
PROJECTOR = StoredProjector(card=CARD, model_file="/blobs/projector", size_bytes=100 * MIB)
PLAN = Plan(
    processes=tuple(process(role) for role in ("preparer", "chat", "embedding")), memory_budget_bytes=1000 * MIB
)


def test_the_chat_worker_loads_it_and_the_preparer_reads_its_header() -> None:
    preparer, chat, embedding = with_projectors(PLAN, [PROJECTOR]).processes
    assert (preparer.projector, chat.projector, embedding.projector) == ("/blobs/projector", "/blobs/projector", "")
    added = 100 * MIB + ENCODING_BYTES
    assert (chat.needs_bytes, chat.memory_bytes) == (500 * MIB + added, 1000 * MIB + 2 * added)
    assert (preparer.needs_bytes, preparer.memory_bytes) == (500 * MIB, 1000 * MIB)


def test_other_models_are_left_as_they_are() -> None:
    plan = Plan(processes=(process("chat", "blind:latest"),))
    assert with_projectors(plan, [PROJECTOR]) == plan


def test_it_must_fit_the_budget_beside_its_model() -> None:
    tight = structs.replace(PLAN, memory_budget_bytes=600 * MIB)
    with pytest.raises(PlanFault, match=r"500 MiB and its projector 356 MiB, together more than .* 600 MiB"):
        with_projectors(tight, [PROJECTOR])
    unbounded = structs.replace(PLAN, memory_budget_bytes=0)
    assert with_projectors(unbounded, [PROJECTOR]).processes[1].projector
