"""A copy is trusted for so long, and then nothing is."""

import pytest

from policies.credentials.staleness import require_fresh
from policies.errors import PolicyUnavailable


@pytest.mark.parametrize("age_s", [0, 59.9, 60])
def test_a_fresh_copy_is_trusted(age_s):
    require_fresh(1000.0, 1000.0 + age_s, 60.0)


@pytest.mark.parametrize("age_s", [60.1, 1e9])
def test_an_old_copy_is_not(age_s):
    with pytest.raises(PolicyUnavailable, match="keys_stale"):
        require_fresh(1000.0, 1000.0 + age_s, 60.0)
