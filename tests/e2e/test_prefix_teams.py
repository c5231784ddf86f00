"""Through the gateway: a team's second request computes few rows, another team's with the same words all of them."""

from pathlib import Path

import pytest

from bench.proofs.isolation_timing import PROMPT_WORDS, measure

pytestmark = pytest.mark.e2e


def test_rows_are_saved_to_the_own_team_only(model_file: Path, tmp_path: Path) -> None:
    (only,) = measure(tmp_path, model_file, 1)

    assert min(only.asked_by_another.rows, only.asked_by_nobody.rows) >= PROMPT_WORDS
    assert only.asked_by_own.rows < 10
