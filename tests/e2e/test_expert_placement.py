"""A mixture of experts whose experts are kept on the CPU: llama.cpp's own loading code, on a build without a GPU.

There all tensors lie in the CPU's memory either way; what is shown is that llama.cpp takes the list and answers alike.
"""

from pathlib import Path

import numpy as np
import pytest

from engine.model_options import ModelOptions
from tests.families import QWEN3_MOE
from tests.first_logits import first_logits
from tests.scripted_model import write_scripted

pytestmark = pytest.mark.e2e


def test_llama_cpp_takes_the_experts_that_stay_on_the_cpu(tmp_path: Path) -> None:
    file = write_scripted(tmp_path / "moe.gguf", QWEN3_MOE, ("Sunny ", "it is."))
    plain = first_logits(file, ModelOptions())
    assert np.isfinite(plain).all()
    kept = first_logits(file, ModelOptions(gpu_layers=2, cpu_expert_layers=1))
    assert np.array_equal(plain, kept)
