"""Which workers see. Pure: a plan of models and the store's projectors in, the plan with both out.

Rules:

- A model's projector is loaded by its chat worker, beside the model; the preparer reads its header only, for what a
  picture costs. Embedding workers get none.
- Memory: the worker needs the projector's weights and the buffers of one picture's encoding besides, and must fit the
  budget with them. Its cap grows by twice that, as for its model.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.fitting.machine import MIB
from engine.plan import Plan, ProcessPlan, grown
from policies.call import ModelCard

# Rows, keys, values and activations of the largest encoder served: 4096 patches, 1152 wide.
ENCODING_BYTES = 256 * MIB


class StoredProjector(Struct, frozen=True, kw_only=True):
    """The projector of a stored model: the model's card, the projector's own file and its size."""

    card: ModelCard
    model_file: str
    size_bytes: int


def with_projectors(plan: Plan, projectors: Sequence[StoredProjector]) -> Plan:
    """`plan` with each projector at its model's processes. Raises PlanFault."""
    by_model = {projector.card.name: projector for projector in projectors}
    processes = tuple(
        _with_sight(process, by_model[process.model], plan.memory_budget_bytes)
        if process.model in by_model and process.role != "embedding"
        else process
        for process in plan.processes
    )
    return msgspec.structs.replace(plan, processes=processes)


def added_bytes(projector: StoredProjector) -> int:
    """What the worker needs for it besides."""
    return projector.size_bytes + ENCODING_BYTES


def _with_sight(process: ProcessPlan, projector: StoredProjector, budget_bytes: int) -> ProcessPlan:
    seeing = msgspec.structs.replace(process, projector=projector.model_file)
    if process.role == "preparer":
        return seeing
    remedy = "set fewer engine.slots or a shorter engine.context_tokens, or import the model without --projector"
    return grown(seeing, added_bytes(projector), budget_bytes, beside="its projector", remedy=remedy)
