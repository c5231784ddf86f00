"""What needs real processes and the small real model."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL_FILE = REPOSITORY / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The small real model, resolved: a worker's wall grants the file itself, not the way to it."""
    if not MODEL_FILE.exists():
        pytest.fail(f"{MODEL_FILE} is missing; `make test` puts it there")
    return MODEL_FILE.resolve()
