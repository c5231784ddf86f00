"""The engine's part of `config.yaml`: how the machine's own pool is shaped."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The own pool. `models` None serves every model of the store; `[]` runs no worker at all.

    `slots` is how many requests one worker batches, `context_tokens` what each of them may use;
    `batch_tokens` bounds one step of the batch; `threads` None plans them: over all workers at most the
    machine's cores minus one, each at least one. `embeddings` adds a worker for vectors beside each chat
    worker. `memory_mib` None derives the cap of a worker from its model file and context.
    `prepare_timeout_s` bounds template and tokeniser.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    models: tuple[str, ...] | None = None
    slots: int = 8
    context_tokens: int = 4096
    batch_tokens: int = 512
    threads: int | None = None
    embeddings: bool = True
    memory_mib: int | None = None
    prepare_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.slots <= 64:
            raise ValueError("slots must be 1 to 64")
        if self.context_tokens < 64:
            raise ValueError("context_tokens must be at least 64")
        if not self.slots <= self.batch_tokens <= 8192:
            raise ValueError("batch_tokens must be at least slots and at most 8192")
        if self.threads is not None and self.threads < 1:
            raise ValueError("threads must be at least 1")
