"""Forty changed model files and a hundred hostile requests: `make prove P=hostile` in its small size."""

import pytest

from bench.proofs.hostile import SMALL, prove

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_hostile_files_and_requests_break_nothing() -> None:
    told = prove(SMALL)
    outcomes, statuses = told["outcomes"], told["statuses"]
    assert isinstance(outcomes, dict)
    assert isinstance(statuses, dict)
    assert sum(outcomes.values()) == SMALL.files
    assert outcomes["refused"] > outcomes["served"] > 0
    assert statuses["200"] > SMALL.requests / 10, "many come as far as the model"
    assert set(statuses) <= {"200", "400"}
