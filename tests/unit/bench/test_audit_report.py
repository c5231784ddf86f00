"""The small size of `make prove P=audit_report`: a whole log is reported, and twice with the same bytes."""

import pytest

from bench.proofs import audit_report


@pytest.mark.slow
def test_a_small_log_is_reported() -> None:
    figures = audit_report.measure(4000)
    assert figures["records"] == 4000
    assert figures["report_bytes"] > 40_000
