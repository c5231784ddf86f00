"""An exception widens one limit of a team for a while, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.limiting.limit_grant import GRANTABLE, LimitGrant, effective
from policies.policy import Limits

NOW_S = 1_800_000_000.0


def grant(**changes: object) -> LimitGrant:
    values = {"id": "g1", "team": "blue", "limit": "requests_per_minute", "value": 900}
    return LimitGrant(**values | {"until_s": NOW_S + 60, "made_s": NOW_S} | changes)


def test_every_figure_of_the_limits_can_be_raised_and_the_mode_cannot():
    assert {"requests_per_minute", "burst_requests", "concurrent_requests"} <= set(GRANTABLE)
    assert "mode" not in GRANTABLE
    for name in GRANTABLE:
        ours = replace(Limits(), **{name: 5})
        assert getattr(effective(ours, [grant(limit=name, value=6)], NOW_S), name) == 6


def test_it_holds_until_its_time_and_not_in_that_second():
    ours = Limits(requests_per_minute=600)
    assert effective(ours, [grant()], NOW_S + 59.9).requests_per_minute == 900
    assert effective(ours, [grant()], NOW_S + 60) == ours
    assert effective(ours, [grant(ended_s=NOW_S + 1)], NOW_S + 2) == ours
    assert effective(ours, [], NOW_S) is ours


def test_it_widens_and_never_narrows():
    assert effective(Limits(requests_per_minute=1000), [grant()], NOW_S).requests_per_minute == 1000
    assert effective(Limits(requests_per_minute=None), [grant()], NOW_S).requests_per_minute is None
    both = [grant(value=700), grant(id="g2", value=800), grant(id="g3", value=750)]
    assert effective(Limits(requests_per_minute=600), both, NOW_S).requests_per_minute == 800


@pytest.mark.parametrize("changes", [{"limit": "mode"}, {"limit": ""}, {"value": 0}, {"value": 2**53}])
def test_what_is_no_limit_is_no_grant(changes):
    with pytest.raises(ValueError, match=r"no limit is called|must be at"):
        grant(**changes)


@given(st.integers(1, 10_000), st.lists(st.tuples(st.integers(1, 10_000), st.booleans()), max_size=8))
def test_of_many_the_greatest_that_holds_counts(ours, granted):
    grants = [grant(id=str(n), value=value, until_s=NOW_S + holds) for n, (value, holds) in enumerate(granted)]
    expected = max([ours, *(value for value, holds in granted if holds)])
    assert effective(Limits(requests_per_minute=ours), grants, NOW_S).requests_per_minute == expected
