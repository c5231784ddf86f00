"""The memory budget in the real `corral serve`: what does not fit is refused with the arithmetic, what fits is served.

Lines of the refusal are told apart by their terms: which figures they hold is the business of the unit tests.
"""

import re
from pathlib import Path

import pytest

from tests.e2e.serving import MODEL, Corral, serving

pytestmark = pytest.mark.e2e

MIB = 1024**2


def test_a_model_that_does_not_fit_is_refused_with_the_arithmetic(tmp_path: Path, model_file: Path) -> None:
    engine = {"memory_budget_mib": 300, "slots": 8, "context_tokens": 4096}
    corral = Corral(tmp_path, engine=engine).make(model_file)
    ended = corral.command("serve", check=False)
    assert ended.returncode == 2
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("corral: ")]
    assert re.fullmatch(
        rf"corral: model {MODEL} does not fit: CPU needs [\d.]+ MB: weights 96\.6 MB \+ KV in q4_0 [\d.]+ MB "
        r"\(8 slots x 4096 tokens x 6\.3 KiB\) \+ compute buffers [\d.]+ MB \+ process [\d.]+ MB; the budget is "
        r"314\.6 MB; [\d.]+ MB are missing: set engine\.slots: 1, or set engine\.context_tokens: 1024, "
        r"or set engine\.memory_budget_mib: \d+, or take a model that is quantised further",
        line,
    )
    # what the refusal proposes is true
    enough = re.search(r"memory_budget_mib: (\d+)", line)
    assert enough is not None
    (corral.home / "config.yaml").write_text(f"engine: {{memory_budget_mib: {enough[1]}, slots: 8}}\n")
    told = corral.command("models", "show", MODEL, "--plan")
    assert "slots 8 (config.yaml)" in told.stdout


def test_a_small_budget_is_kept_and_serves(tmp_path: Path, model_file: Path) -> None:
    engine = {"memory_budget_mib": 450, "embeddings": False}
    with serving(tmp_path, model_file, engine=engine) as corral:
        status, body = corral.request(
            "POST",
            "/api/chat",
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": "What is the capital of France?"}],
                "options": {"temperature": 0},
                "stream": False,
            },
        )
        assert (status, b"Paris" in body) == (200, True), body
        [planned] = [line for line in corral.log().splitlines() if "worker_planned" in line]
        assert '"kv_type": "q8_0"' in planned
        [worker] = corral.children("engine.worker")
        status_lines = Path(f"/proc/{worker}/status").read_text()
        resident = re.search(r"VmHWM:\s+(\d+) kB", status_lines)
        assert resident is not None
        assert int(resident[1]) * 1024 <= engine["memory_budget_mib"] * MIB
