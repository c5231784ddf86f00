"""The engine's part of `config.yaml`: how the machine's own pool is shaped."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

LEAST_CONTEXT_TOKENS = 64
MOST_SLOTS = 64
MOST_REPLICAS = 32
MOST_BATCH_TOKENS = 8192
Sandbox = Literal["required", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The own pool. `models` None serves every model of the store; `[]` runs no worker at all.

    What is None is planned for each model from its file and this machine, and `corral models show NAME --plan` says
    why; what is given overrules the plan. `slots` is how many requests one worker batches, planned up to 8;
    `context_tokens` what each of them may use, planned up to 4096 (give more for what the model can);
    `batch_tokens` bounds one step of the batch; `threads` of a worker are planned so that workers that fit into memory
    together have at most the machine's cores minus one, each at least one. `embeddings` adds a worker for vectors
    beside each chat worker.
    `memory_mib` is the cap on the private memory of one worker, which ends at it; None takes its planned memory, its
    weights once more and 1024. `prepare_timeout_s` bounds template and tokeniser.
    `kv_type` is how keys and values are kept: f16, or q8_0 in half the memory, or q4_0, which changes answers.
    `memory_budget_mib` is what all workers that live at the same time may take together; None plans it: the machine's
    free memory less what gateway, preparers and the system need. A model that does not fit into it is refused.
    Models that do not fit together are loaded as requests ask for them, and an idle one makes room at once.
    `swap_patience_s` is how long somebody has to wait for another model before a busy one finishes its answers and
    leaves, and how long that has been there at least. `keep_alive_s` unloads what was idle for so long (None: only to
    make room). `keep_alive_most_s` is the longest time for which callers may ask to keep a model. `replicas` gives
    models several chat workers, each its number; further ones are loaded while requests wait, into memory that nobody
    else needs.
    A process that has work and makes no progress for `stuck_after_s` is killed and started again; one that computes all
    the while has ten times as long, and four times the longest step seen where that is more.
    `kv_cells` is how many tokens of keys and values the slots of a chat worker share, planned as all their contexts
    together; with fewer, a request still may use its whole context while cells are free, and waits while they are not.
    `idle_memory_mib` is how much of prefixes that nobody runs on a chat worker keeps beside that memory, where they
    slow nobody down; None plans up to 1024 of what the budget leaves, and 0 leaves all of them in it.
    `gpu_layers` is how many layers a chat worker keeps on the GPU, its output layer being one more; 0 uses none.
    `sandbox` required serves no model without every wall; best goes on with what this kernel gives and says what it
    lacks, but never without no_new_privs and seccomp (`corral doctor` shows the walls).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    models: tuple[str, ...] | None = None
    slots: int | None = None
    context_tokens: int | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    embeddings: bool = True
    memory_mib: int | None = None
    prepare_timeout_s: float = 2.0
    kv_type: Literal["f16", "q8_0", "q4_0"] | None = None
    memory_budget_mib: int | None = None
    gpu_layers: int | None = None
    keep_alive_s: float | None = None
    keep_alive_most_s: float = 3600.0
    swap_patience_s: float = 10.0
    replicas: dict[str, int] = field(default_factory=dict)
    sandbox: Sandbox = "required"
    stuck_after_s: float = 30.0
    kv_cells: int | None = None
    idle_memory_mib: int | None = None

    def __post_init__(self) -> None:
        if self.slots is not None and not 1 <= self.slots <= MOST_SLOTS:
            raise ValueError(f"slots must be 1 to {MOST_SLOTS}")
        least = dict.fromkeys(("context_tokens", "kv_cells"), LEAST_CONTEXT_TOKENS)
        least |= {"gpu_layers": 0, "idle_memory_mib": 0}
        for name, low in {**least, "threads": 1, "memory_mib": 1, "memory_budget_mib": 1}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}")
        if self.batch_tokens is not None and not (self.slots or 1) <= self.batch_tokens <= MOST_BATCH_TOKENS:
            raise ValueError(f"batch_tokens must be at least slots and at most {MOST_BATCH_TOKENS}")
        self._check_residence()

    def _check_residence(self) -> None:
        if self.keep_alive_s is not None and not 0 < self.keep_alive_s < math.inf:
            raise ValueError("keep_alive_s must be above 0, or null to unload only to make room")
        if not 0 <= self.keep_alive_most_s < math.inf:
            raise ValueError("keep_alive_most_s must be at least 0")
        if not 0 <= self.swap_patience_s <= 600:
            raise ValueError("swap_patience_s must be 0 to 600")
        if not all(1 <= count <= MOST_REPLICAS for count in self.replicas.values()):
            raise ValueError(f"replicas must be 1 to {MOST_REPLICAS} for each model")
        if not 1 <= self.stuck_after_s <= 3600:
            raise ValueError("stuck_after_s must be 1 to 3600")
