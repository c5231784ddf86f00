"""From a refusal's reason to the step and the setting."""

import pytest

from policies.policy_file.deciding_setting import _ROWS as ROWS
from policies.policy_file.deciding_setting import STEPS, Caller, decider

CALLER = Caller(team="lab", model="m:latest", listener="admin")


def where(reason: str, event: str = "request.denied") -> tuple[int, str]:
    found = decider(reason, event, CALLER)
    return found.step, ".".join(found.setting)


@pytest.mark.parametrize(
    ("reason", "step", "setting"),
    [
        ("global_network", 2, "networks"),
        ("listener_network", 2, "listeners.admin"),
        ("team_not_in_policy", 5, "teams.lab"),
        ("team_network", 8, "teams.lab.networks"),
        ("model_not_of_team", 8, "teams.lab.models"),
        ("expired_in_queue", 11, "teams.lab"),
        ("deadline_unreachable", 11, "teams.lab"),
        ("jwt_audience", 5, "issuers"),
        ("certificate_unmapped", 5, "certificates"),
        ("scope_admin_missing", 8, ""),
        ("json_too_deep", 7, ""),
        ("rate_limited_key", 6, "teams.lab.key_limits.requests_per_minute"),
        ("rate_limited_all", 6, "limits.requests_per_minute"),
        ("rate_limited_model", 10, "model_limits.m:latest.requests_per_minute"),
        ("prompt_tokens_limited_address", 10, "address_limits.prompt_tokens_per_minute"),
        ("beyond_output_tokens_limited_team", 10, "teams.lab.limits.output_tokens_per_minute"),
        ("concurrency_limited_key", 10, "teams.lab.key_limits.concurrent_requests"),
        ("day_budget_used_up_all", 10, "limits.tokens_per_day"),
        ("month_budget_used_up_team", 10, "teams.lab.limits.tokens_per_month"),
    ],
)
def test_a_reason_has_a_step_and_a_setting(reason: str, step: int, setting: str):
    assert where(reason) == (step, setting)


@pytest.mark.parametrize(
    ("event", "step"),
    [("request.rejected", 0), ("request.unauthenticated", 5), ("request.shed", 11), ("something.else", 12)],
)
def test_a_reason_without_a_row_is_answered_by_its_kind(event: str, step: int):
    found = decider("rate_limited_nobody", event, CALLER)
    assert (found.step, found.setting, str(found.look)) == (step, (), "the log of the gateway, under the request's id")


def test_every_row_names_a_step():
    assert all(0 <= step < len(STEPS) and look for step, _, look in ROWS.values())
