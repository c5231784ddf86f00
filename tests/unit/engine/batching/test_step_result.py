"""What a loop counts."""

from engine.batching.step_result import StepResult, Totals
from engine.frames import Counters


def test_totals_become_the_counters_frame() -> None:
    totals = Totals(decode_calls=1, steps=2, output_tokens=3, prefill_tokens=4, cached_tokens=5, started=6, ended=7)

    assert totals.counters(8) == Counters(
        decode_calls=1, steps=2, output_tokens=3, prefill_tokens=4, cached_tokens=5, started=6, ended=7, cancelled=0,
        busy_slots=8,
    )  # fmt: skip


def test_results_share_nothing() -> None:
    StepResult().outputs.append(("owner", None))  # type: ignore[arg-type]

    assert StepResult().outputs == []
