"""What is worth a second look in a policy without faults."""

from typing import Any

import pytest

from policies.addresses.networks import Networks
from policies.policy import KeyLimits, Limits, Policy, Team
from policies.policy_file.policy_review import review_policy

SOUND: dict[str, Any] = {
    "teams": {"default": Team(models=("*",))},
    "networks": Networks(allow=("10.0.0.0/8",)),
    "trusted_proxies": ("10.0.0.0/24", "fd00::/64"),
}


def paths(**changes: Any) -> list[str]:
    return [".".join(each.path) for each in review_policy(Policy(**{**SOUND, **changes}))]


def test_a_sound_policy_has_no_remarks():
    assert paths() == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"teams": {}}, "teams"),
        ({"teams": {"quiet": Team()}}, "teams.quiet.models"),
        ({"networks": Networks()}, "networks.allow"),
        ({"networks": Networks(allow=("10.0.0.0/8", "::/0"))}, "networks.allow"),
        ({"limits": Limits(mode="report")}, "limits.mode"),
        ({"model_limits": {"m": Limits(mode="report")}}, "model_limits.m.mode"),
        ({"teams": {"t": Team(models=("m",), key_limits=KeyLimits(mode="report"))}}, "teams.t.key_limits.mode"),
        ({"teams": {"t": Team(models=("m",), limits=Limits(mode="report"))}}, "teams.t.limits.mode"),
        ({"teams": {"t": Team(models=("m",), promise_mode="report")}}, "teams.t.promise_mode"),
        ({"teams": {"t": Team(models=("m",), promise_mode="report", first_token_s=5.0)}}, "teams.t.promise_mode"),
        (
            {"teams": {"t": Team(models=("m",), max_queued=512), "u": Team(models=("m",))}},
            "teams.t.max_queued",
        ),
        (
            {"teams": {"t": Team(models=("m",), key_limits=KeyLimits(requests_per_minute=None))}},
            "teams.t.key_limits.requests_per_minute",
        ),
        ({"trusted_proxies": ("10.0.0.0/15",)}, "trusted_proxies"),
        ({"trusted_proxies": ("fd00::/47",)}, "trusted_proxies"),
        ({"unsafe_trust_all_proxies": True}, "unsafe_trust_all_proxies"),
    ],
)
def test_a_remark_names_its_setting(changes: dict[str, Any], path: str):
    assert paths(**changes) == [path]


def test_an_unbounded_key_of_a_bounded_team_is_none():
    limits, key_limits = Limits(requests_per_minute=6, burst_requests=1), KeyLimits(requests_per_minute=None)
    assert paths(teams={"t": Team(models=("m",), limits=limits, key_limits=key_limits)}) == []


@pytest.mark.parametrize(("first_token_s", "says"), [(None, "no first_token_s"), (5.0, "recorded and let in")])
def test_a_promise_that_only_reports_says_what_becomes_of_it(first_token_s: float | None, says: str) -> None:
    team = Team(models=("m",), promise_mode="report", first_token_s=first_token_s)
    (remark,) = review_policy(Policy(**{**SOUND, "teams": {"t": team}}))
    assert says in remark.text
