import math

import pytest

from policies.keep_alive import allowed_keep_alive_s


@pytest.mark.parametrize(
    ("asked_s", "of_a_caller", "of_an_administrator"),
    [
        (None, None, None),
        (math.nan, None, None),
        (0.0, None, 0.0),
        (-1.0, None, math.inf),
        (30.0, 30.0, 30.0),
        (1e9, 600.0, 1e9),
    ],
)
def test_what_counts_of_a_hint(
    asked_s: float | None, of_a_caller: float | None, of_an_administrator: float | None
) -> None:
    assert allowed_keep_alive_s(asked_s, is_admin=False, most_s=600.0) == of_a_caller
    assert allowed_keep_alive_s(asked_s, is_admin=True, most_s=600.0) == of_an_administrator


def test_a_bound_of_nothing_leaves_callers_nothing() -> None:
    assert allowed_keep_alive_s(30.0, is_admin=False, most_s=0.0) is None
