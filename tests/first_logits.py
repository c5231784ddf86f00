"""What a model file computes for the same few tokens, by the workers' own backend."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.batching.batch import Batch
from engine.batching.llama_backend import LlamaBackend
from engine.model_options import ModelOptions


def first_logits(file: Path, options: ModelOptions) -> NDArray[np.float32]:
    """The logits after five tokens."""
    backend = LlamaBackend(file, slots=1, context_tokens=256, batch_tokens=8, threads=1, options=options)
    try:
        batch = Batch(8, 1)
        row = batch.add(0, np.arange(5, dtype=np.int32), 0, results="last")
        assert backend.decode(batch, None) == 0
        return backend.logits(row).copy()
    finally:
        backend.close()
