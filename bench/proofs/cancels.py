"""Requests cancelled at random moments leave nothing behind, and others do not notice.

In prefill, in decode, waiting for a sibling's prefix, parked; with grammars, logprobs and shared prefixes; by cancel
and by a connection that closes. Three parts: the loop in this process on a made-up model of one layer (the same code
of llama.cpp, thousands of steps), on the real small model, and a walled worker process through its socket. After each
no slot, no cell of memory (asked of llama.cpp itself), no descriptor and no memory may be lost, and every request
that was left alone must have ended well. A prefill of the real model must be given up within `MOST_MS` of processor
time (p99), which other processes on the machine add nothing to: in the loop from the moment of the cancel, through the
socket from its bytes' arrival to the step that says the slot is free, prompts of 480 rows. Told beside both is the time
by the wall's clock, and how much of it processes wanted a processor that others had.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.cancelling.in_process import CancelledLoop
from bench.cancelling.through_socket import cancel_through_socket
from bench.pool_admission.faster_model import MODEL_NAME, requantised
from tests.unit.engine.tiny_vision import write_text_model

MODEL_FILE = Path(__file__).resolve().parents[2] / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
MOST_MS = 10.0
MOST_GROWTH_BYTES = 16 << 20
BYTE_IDS = 200  # of the made-up model's vocabulary
REAL_IDS = 40_000


class Size(NamedTuple):
    """How many cancels each part has; `abandons` are timed ones of lone prompts."""

    made_up: int
    real: int
    socket: int
    abandons: int


FULL = Size(made_up=8_500, real=1_000, socket=500, abandons=100)


def prove(size: Size = FULL, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError for anything lost, or a prefill that goes on too long."""
    figures = measure(size, model_file)
    for name in ("made_up", "real", "socket"):
        growth = figures[name]["resident_growth_bytes"]
        assert growth <= MOST_GROWTH_BYTES, f"{name}: memory grew by {growth} bytes"
    for part, name in (("real", "abandoned_cpu_ms"), ("socket", "worker_computed_ms")):
        took = figures[part][name]
        assert took["p99"] <= MOST_MS, f"{part}: a cancelled prefill must be given up within {MOST_MS:.0f} ms: {took}"
    return figures


def measure(size: Size, model_file: Path) -> dict[str, Any]:
    """The figures, checked for losses but not for times, nor for memory that a short run has not all touched yet."""
    with tempfile.TemporaryDirectory() as folder:
        made_up = write_text_model(Path(folder) / "made-up.gguf")
        faster = requantised(model_file, Path(folder))
        parts = {"made_up": CancelledLoop(made_up, 1, BYTE_IDS).run(size.made_up)}
        print(parts["made_up"], flush=True)
        if size.real:
            parts["real"] = CancelledLoop(faster, 2, REAL_IDS, spared=0.05).run(size.real)
            print(parts["real"], flush=True)
        parts["socket"] = cancel_through_socket(
            faster, cancels=size.socket, abandons=size.abandons, ids=REAL_IDS, seed=3
        )
        print(parts["socket"], flush=True)
    for name, part in parts.items():
        check(name, part)
    return {"model": MODEL_NAME, "cancels": sum(part["cancels"] for part in parts.values()), **parts}


def check(name: str, part: dict[str, Any]) -> None:
    """Raises AssertionError when this part lost something."""
    lost = {key: part[key] for key in part if key.endswith("_lost") and part[key]}
    assert not lost, f"{name}: {lost}"
    assert part["completed"] > 0, f"{name}: nobody was left to end well"
