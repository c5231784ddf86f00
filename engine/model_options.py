"""How a worker holds a model, beyond the batch it runs: adapters beside it, layers on a GPU, its context memory."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from engine.kv_memory import KvMemory
from engine.store.yarn import NO_YARN, Yarn


class ModelOptions(Struct, frozen=True, kw_only=True):
    """`adapters` are files by name; `gpu_layers` as llama.cpp counts them; the experts of the first
    `cpu_expert_layers` stay on the CPU. `rows_together` must be computed at once (those of a picture that see each
    other). `mapped_weights`: see `engine.weight_loading`. `idle_bytes`: see `engine.idle_plan`.
    `yarn`: see `engine.store.yarn`.
    """

    adapters: Mapping[str, Path] = {}
    kv: KvMemory = KvMemory()
    gpu_layers: int = 0
    cpu_expert_layers: int = 0
    rows_together: int = 0
    mapped_weights: bool = True
    idle_bytes: int = 0
    yarn: Yarn = NO_YARN


PLAIN = ModelOptions()
