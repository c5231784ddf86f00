"""The proof of searching, small: every count is what was made, every question is answered."""

import pytest

from bench.proofs.audit_search import SMALL, Size, measure, prove


def test_every_question_is_answered_and_counts_are_right() -> None:
    figures = measure(SMALL)
    assert figures["records"] == SMALL.records
    assert figures["counts_checked"] == 12
    assert len(figures["seconds"]) > 55
    assert len(figures["pages"]) == 5
    assert 0 < figures["bytes_a_record"] < 500


def test_a_search_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.proofs.audit_search.MOST_S", 0.0)
    with pytest.raises(AssertionError, match=r"over 0\.0 s"):
        prove(Size(1_000))
