"""Some hundred cancels at random moments, in the loop and through a worker's socket: nothing is lost."""

from pathlib import Path

import pytest

from bench.proofs.cancels import Size, measure

pytestmark = pytest.mark.e2e


def test_cancels_leave_nothing_behind(model_file: Path) -> None:
    figures = measure(Size(made_up=500, real=20, socket=40, abandons=2), model_file)

    assert figures["cancels"] >= 560
    met = figures["made_up"]["met"]
    assert {"prefill", "decode", "waiting", "parked"} <= {state.removesuffix(", dropped") for state in met}
    assert figures["made_up"]["parked"] > 0
    assert figures["socket"]["completed"] > 0
