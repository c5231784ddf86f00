"""Prompts that arrive beside 16 streams lengthen no gap between two tokens beyond three times the usual one.

The loop in this process on the small real model, saturated: a request that ends is followed by another with a prompt
of its own. Of all gaps between two tokens of a stream the 99th percentile must be at most `MOST_RATIO` times the
median. Told beside it: how many steps had prompt rows, and what a step is made of; Python's share must stay below
`MOST_PYTHON_PERCENT`. The same is run once more by the thread's own clock, which neighbours on the machine disturb
less.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.cancelling.process_state import percentile
from bench.pool_admission.faster_model import MODEL_NAME, requantised
from bench.step_shares import Load, Step, gaps_ms, saturated_steps, shares

MODEL_FILE = Path(__file__).resolve().parents[2] / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
LOAD = Load(streams=16, prompt_tokens=(64, 512), output_tokens=(64, 192))
STEPS = 600
MOST_RATIO = 3.0
MOST_PYTHON_PERCENT = 3.0


def prove(steps: int = STEPS, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError when gaps are too uneven, or Python takes too much."""
    figures = measure(steps, model_file)
    assert figures["wall"]["p99_to_median"] <= MOST_RATIO, figures
    assert figures["wall"]["python_percent"] <= MOST_PYTHON_PERCENT, figures
    return figures


def measure(steps: int, model_file: Path) -> dict[str, Any]:
    """The figures alone: by the wall's clock, and by the thread's own, which counts no time of others."""
    clocks = {"wall": time.monotonic_ns, "thread": time.thread_time_ns}
    with tempfile.TemporaryDirectory() as folder:
        faster = requantised(model_file, Path(folder))
        parts = {name: told(saturated_steps(faster, LOAD, steps, clock=clock)) for name, clock in clocks.items()}
    return {"model": MODEL_NAME, "streams": LOAD.streams, "bound": MOST_RATIO, **parts}


def told(found: list[Step]) -> dict[str, Any]:
    """The figures of these steps."""
    gaps = gaps_ms(found)
    median, p99 = statistics.median(gaps), percentile(gaps, 0.99)
    rows = [step.prefill_rows for step in found if step.prefill_rows]
    return {
        "steps": len(found), "gaps": len(gaps), "steps_with_prompt_rows": len(rows),
        "prompt_rows_in_these": round(statistics.fmean(rows or [0]), 1),
        "gap_ms": {"median": round(median, 2), "p99": round(p99, 2), "longest": round(max(gaps), 2)},
        "p99_to_median": round(p99 / median, 3), **shares(found),
    }  # fmt: skip
