"""The steps of a saturated loop, taken apart: all of their time is accounted for, and prompts go on beside answers."""

from pathlib import Path

import pytest

from bench.proofs.token_gaps import told
from bench.step_shares import Load, saturated_steps

pytestmark = pytest.mark.e2e


def test_steps_are_told_whole(model_file: Path) -> None:
    steps = saturated_steps(model_file, Load(streams=2, prompt_tokens=(8, 24), output_tokens=(3, 5)), 16)
    figures = told(steps)

    assert figures["steps"] == len(steps) == 16
    assert figures["gaps"] == sum(step.decode_rows for step in steps) >= 16
    assert figures["steps_with_prompt_rows"] >= 2
    assert all(0 < step.decode_ns + step.choose_ns < step.took_ns for step in steps)
    shares = [figures[f"{name}_percent"] for name in ("decode", "choose", "python")]
    assert sum(shares) == pytest.approx(100, abs=0.01)
