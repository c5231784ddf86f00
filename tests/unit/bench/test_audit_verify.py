"""The small size of `make prove P=audit_verify`: what it measures is a whole log, and a proof has log n hashes."""

import pytest

from bench.proofs import audit_verify


@pytest.mark.slow
def test_a_small_log_is_measured() -> None:
    figures = audit_verify.measure(3000)
    assert figures["records"] == 3000
    assert 10 <= figures["hashes_in_a_proof"] <= 12
    assert figures["bytes_per_record"] > 500
