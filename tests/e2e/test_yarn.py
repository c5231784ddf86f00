"""A context stretched by YaRN: the numbers of a file that states it itself, and prompts the model alone refuses."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.batching.batch import Batch
from engine.batching.llama_backend import LlamaBackend
from engine.model_options import ModelOptions
from engine.store.yarn import NO_YARN, Yarn
from tests.e2e.serving import Corral
from tests.unit.engine.tiny_vision import CONTEXT_TOKENS, write_text_model

pytestmark = pytest.mark.e2e

FACTOR = 4.0
TOKENS = CONTEXT_TOKENS + 100
LONG = "long " * (TOKENS // 5)


def logits(file: Path, yarn: Yarn = NO_YARN) -> NDArray[np.float32]:
    """Of the last of so many tokens, and of one near the beginning."""
    backend = LlamaBackend(
        file,
        slots=1,
        context_tokens=2 * CONTEXT_TOKENS,
        batch_tokens=TOKENS,
        threads=1,
        options=ModelOptions(yarn=yarn),
    )
    batch = Batch(TOKENS, 1)
    ids = np.arange(TOKENS, dtype=np.int32) % 200 + 3
    batch.add(0, ids[:10], 0, results="last")
    batch.add(0, ids[10:], 10, results="last")
    assert backend.decode(batch, None) == 0
    _, context = backend.lend()
    found = np.array([context.logits(row) for row in (9, TOKENS - 1)])
    backend.close()
    return found


def stated_logits(folder: Path) -> NDArray[np.float32]:
    """Of a file that states the scaling itself."""
    stating = write_text_model(
        folder / "stating.gguf",
        llama__rope__scaling__type="yarn",
        llama__rope__scaling__factor=FACTOR,
        llama__rope__scaling__original_context_length=CONTEXT_TOKENS,
        llama__context_length=int(FACTOR) * CONTEXT_TOKENS,
    )
    return logits(stating)


def test_it_computes_what_a_file_does_that_states_it(tmp_path: Path) -> None:
    plain = write_text_model(tmp_path / "plain.gguf")
    stretched = logits(plain, Yarn(FACTOR))
    assert np.isfinite(stretched).all()
    np.testing.assert_allclose(stretched, stated_logits(tmp_path), rtol=1e-4, atol=1e-4)


def test_a_file_that_states_more_than_it_was_trained_on(tmp_path: Path) -> None:
    """As Qwen3's do: 40,960 where 32,768 are to be stretched. (Much more here: small heads have few dimensions.)"""
    shipped = write_text_model(tmp_path / "shipped.gguf", llama__context_length=8 * CONTEXT_TOKENS)
    as_trained = logits(shipped, Yarn(FACTOR, CONTEXT_TOKENS))
    np.testing.assert_allclose(as_trained, stated_logits(tmp_path), rtol=1e-4, atol=1e-4)
    assert np.abs(as_trained - logits(shipped, Yarn(FACTOR))).max() > 1e-4


def test_it_costs_short_prompts_too(tmp_path: Path) -> None:
    """Which is why it is a model of its own."""
    plain = write_text_model(tmp_path / "plain.gguf", llama__context_length=int(FACTOR) * CONTEXT_TOKENS)
    as_trained = write_text_model(tmp_path / "as_trained.gguf")
    short, long = np.abs(logits(as_trained, Yarn(FACTOR)) - logits(plain)).max(axis=1)
    assert short > 1e-3, "a token near the beginning"
    assert long > 1e-3


def test_a_long_prompt_is_for_the_stretched_name_alone(tmp_path: Path) -> None:
    corral = Corral(tmp_path, engine={"slots": 1, "context_tokens": 2 * CONTEXT_TOKENS, "threads": 1}).make(None)
    model = str(write_text_model(tmp_path / "text.gguf"))
    corral.command("models", "import", model, "tiny:latest")
    told = corral.command("models", "import", model, "tiny:long", "--yarn", f"{FACTOR:g}")
    assert f"{int(FACTOR) * CONTEXT_TOKENS} tokens of context" in told.stdout
    corral.start()
    try:
        statuses = {}
        for name in ("tiny:latest", "tiny:long"):
            body = {"model": name, "messages": [{"role": "user", "content": LONG}], "max_tokens": 4}
            statuses[name], answer = corral.request("POST", "/v1/chat/completions", body)
    finally:
        status = corral.stop()
    assert statuses == {"tiny:latest": 400, "tiny:long": 200}, answer
    assert status == 0
