"""For how long the log is kept, when the configuration says another time than what is in force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.approval.retention_change import RetentionVerdict, settle_retention

MOST = 36_500


@pytest.mark.parametrize(
    ("in_force", "configured", "has_signers", "days", "keeps"),
    [
        (400, 400, True, 400, "as_configured"),
        (400, 401, True, 401, "as_configured"),
        (400, 401, False, 401, "as_configured"),
        (400, 399, True, 400, "waits"),
        (400, 399, False, 399, "shortened"),
        (None, 200, False, 200, "as_configured"),
        (None, 200, True, MOST, "waits"),
    ],
)
def test_each_case(in_force, configured, has_signers, days, keeps):
    assert settle_retention(in_force, configured, has_signers=has_signers) == RetentionVerdict(days, keeps)


@given(st.none() | st.integers(180, MOST), st.integers(180, MOST))
def test_with_signers_a_start_never_shortens(in_force, configured):
    days = settle_retention(in_force, configured, has_signers=True).days
    assert days >= (in_force or configured)
