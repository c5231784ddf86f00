import pytest

from engine.adapter_plan import StoredAdapter, split_names, with_adapters
from engine.fitting.machine import MIB
from engine.plan import Plan, PlanFault, ProcessPlan
from policies.call import ModelCard


def card(name: str, parent: str = "") -> ModelCard:
    return ModelCard(name=name, digest="d" * 64, size_bytes=1, modified_at=0.0, parent=parent)


def process(role: str, model: str = "m:1") -> ProcessPlan:
    return ProcessPlan(
        name=f"{role}-{model}",
        role=role,  # type: ignore[arg-type]
        model=model,
        model_file="/blobs/m",
        socket="/run/s",
        slots=4,
        context_tokens=512,
        batch_tokens=64,
        threads=1,
        memory_bytes=1000 * MIB,
        timeout_s=2.0,
        needs_bytes=500 * MIB,
    )


def adapter(name: str, parent: str = "m:1", size_bytes: int = 10 * MIB) -> StoredAdapter:
    return StoredAdapter(card=card(name, parent), file=f"/blobs/{name}", size_bytes=size_bytes)


PLAN = Plan(
    processes=(process("preparer"), process("chat"), process("embedding"), process("chat", "n:1")),
    cards=(
        ModelCard(name="m:1", digest="", size_bytes=1, modified_at=0, slots=4, slot_context_tokens=512),
        card("n:1"),
    ),
)


def test_an_adapter_runs_on_the_chat_worker_of_its_base_model() -> None:
    plan = with_adapters(PLAN, [adapter("a:1"), adapter("b:1")])
    chat = plan.processes[1]
    assert chat.adapters == (("a:1", "/blobs/a:1"), ("b:1", "/blobs/b:1"))
    assert (chat.needs_bytes, chat.memory_bytes) == (520 * MIB, 1040 * MIB)
    assert [each.adapters for each in plan.processes[::2]] == [(), ()]
    assert plan.processes[3] == PLAN.processes[3]


def test_its_card_is_in_the_catalogue_with_its_bases_slots() -> None:
    cards = with_adapters(PLAN, [adapter("a:1")]).cards
    assert [each.name for each in cards] == ["m:1", "n:1", "a:1"]
    assert (cards[2].parent, cards[2].slots, cards[2].slot_context_tokens) == ("m:1", 4, 512)


def test_without_adapters_the_plan_stays() -> None:
    assert with_adapters(PLAN, []) == PLAN


def test_an_adapter_without_its_base_is_a_fault() -> None:
    with pytest.raises(PlanFault, match="'a:1', an adapter of 'x:1', but not that model"):
        with_adapters(PLAN, [adapter("a:1", "x:1")])


@pytest.mark.parametrize(("budget_mib", "fits"), [(0, True), (520, True), (519, False)])
def test_what_does_not_fit_the_budget_is_a_fault(budget_mib: int, fits: bool) -> None:
    plan = Plan(processes=PLAN.processes, cards=PLAN.cards, memory_budget_bytes=budget_mib * MIB)
    adapters = [adapter("a:1"), adapter("b:1")]
    if fits:
        assert with_adapters(plan, adapters).memory_budget_bytes == budget_mib * MIB
    else:
        with pytest.raises(PlanFault, match=r"m:1 needs 500 MiB and its 2 adapters 20 MiB, .* budget of 519 MiB"):
            with_adapters(plan, adapters)


def test_names_are_split_into_models_and_adapters() -> None:
    a, b = adapter("a:latest"), adapter("b:1")
    assert split_names(None, (a, b)) == (None, (a, b))
    assert split_names((), (a, b)) == ((), ())
    assert split_names(("m:1", "b:1", "a", "a:latest"), (a, b)) == (("m:1",), (b, a))


def test_its_file_is_the_one_to_verify() -> None:
    assert adapter("a:1").model_file == "/blobs/a:1"
