"""The steps of the flow, run for callers nobody has seen."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from gateway.explain import Case, Explanation, explain
from gateway.offline_token import CannotTell
from gateway.route_tables import tables_to_read
from policies.access import ListenerName
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated
from policies.policy import AddressLimits, Band, KeyLimits, Limits, Policy, Team
from tests.fakes import card

POLICY = Policy(
    teams={"lab": Team(models=("m:latest",), networks=Networks(allow=("10.1.0.0/16", "127.0.0.0/8")))},
    networks=Networks(allow=("127.0.0.0/8", "10.0.0.0/8")),
    trusted_proxies=("10.9.9.9/32",),
)
PRINCIPAL = Principal(kind="api_key", team="lab", scopes=frozenset({"inference", "models"}), networks=Networks())


def find_model(name: str) -> Any:
    return {"m": card("m:latest"), "secret": card("secret:latest")}.get(name)


CASE = Case(
    method="POST",
    target="/api/chat",
    address="127.0.0.1",
    listener="public",
    model="m",
    prove=lambda: PRINCIPAL,
    find_model=find_model,
)


def run(policy: Policy = POLICY, **changes: Any) -> Explanation:
    case = structs.replace(CASE, **changes)
    return explain(case, policy, tables_to_read()[case.listener])


def refused(policy: Policy = POLICY, **changes: Any) -> tuple[int, str, str]:
    """The step, the reason and the setting of the first step that refuses."""
    found = run(policy, **changes)
    last = found.steps[-1]
    assert last.outcome == "refused"
    assert found.reason in last.text
    assert found.decider is not None
    assert all(step.outcome == "ok" for step in found.steps[:-1])
    return last.number, found.reason, ".".join(found.decider.setting)


def test_all_steps_are_told_in_their_order():
    found = run()
    assert [step.number for step in found.steps] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12]
    assert (found.status, found.reason, found.decider) == (200, "", None)
    told = {step.number: step.text for step in found.steps}
    assert told[2] == "let in by allow 127.0.0.0/8"
    assert "600 requests a minute for this key" in told[6]
    assert "32 concurrent requests for this key" in told[10]


def queue_told(**changes: Any) -> str:
    """What step 11 says of the team with `changes`."""
    team = replace(POLICY.teams["lab"], **changes)
    return run(replace(POLICY, teams={"lab": team})).steps[-2].text


def test_the_terms_that_a_request_waits_on():
    assert queue_told(weight=2.5) == (
        "band standard (2 of 3, 30% of the slots' time guaranteed), weight 2.5; no time to the first token is "
        "promised; at most 64 of the team and 512 in all wait, 120 s"
    )
    assert "; first token within 2.5 s, or refused at once; " in queue_told(first_token_s=2.5)
    reporting = queue_told(first_token_s=2.5, promise_mode="report", band="interactive")
    assert reporting.startswith("band interactive (1 of 3, ")
    assert "or refused at once (reports only); " in reporting


def test_a_band_that_lends_nothing():
    policy = replace(POLICY, bands={"standard": Band(share=0.25, lends=False)})
    assert "(1 of 1, 25% of the slots' time guaranteed and kept free)" in run(policy).steps[-2].text


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({"target": "/api/../admin"}, (0, "path_segment", "")),
        ({"address": "::1%lo"}, (1, "peer_unreadable", "")),
        ({"address": "192.0.2.1"}, (2, "global_network", "networks")),
        ({"target": "/api/nothing"}, (7, "route_unknown", "")),
        ({"method": "DELETE"}, (7, "method_not_allowed", "")),
        ({"address": "10.2.0.1"}, (8, "team_network", "teams.lab.networks")),
        ({"target": "/metrics", "method": "GET", "listener": "admin"}, (8, "scope_metrics_missing", "")),
        ({"model": "secret"}, (8, "model_not_of_team", "teams.lab.models")),
        ({"model": "nothing"}, (8, "model_not_in_catalogue", "")),
    ],
)
def test_the_first_step_that_refuses_is_named_with_its_setting(changes: dict[str, Any], decision: tuple[int, str, str]):
    assert refused(**changes) == decision


def test_a_listeners_own_list():
    listeners = replace(POLICY.listeners, admin=Networks(deny=("127.0.0.1/32",)))
    policy = replace(POLICY, listeners=listeners)
    assert refused(policy, listener="admin") == (2, "listener_network", "listeners.admin")


def test_the_credential_decides_too():
    elsewhere = replace(PRINCIPAL, networks=Networks(allow=("10.0.0.0/8",)))
    assert refused(prove=lambda: elsewhere) == (5, "key_network", "")
    assert refused(prove=lambda: replace(PRINCIPAL, team="gone")) == (5, "team_not_in_policy", "teams.gone")
    assert refused(prove=lambda: replace(PRINCIPAL, models=("other",))) == (8, "model_not_of_credential", "")

    def expired() -> Principal:
        raise NotAuthenticated("expired", presented=True)

    assert refused(prove=expired) == (5, "expired", "")


def test_what_cannot_be_told_is_no_refusal():
    def away() -> Principal:
        raise CannotTell("check 6: the keys are away")

    found = run(prove=away)
    assert (found.status, found.reason, found.decider) == (0, "cannot_tell", None)
    assert (found.steps[-1].number, found.steps[-1].outcome) == (5, "unknown")


def test_an_open_route_asks_nobody():
    found = run(target="/health/live", method="GET", prove=lambda: pytest.fail("asked"))
    assert [step.number for step in found.steps] == [0, 1, 2, 4]
    assert found.status == 200


def test_without_a_model_nothing_is_reserved():
    found = run(target="/api/tags", method="GET", model="")
    assert found.steps[-1].number == 8


@pytest.mark.parametrize("listener", ["public", "admin"])
def test_a_proxy_is_told_to_be_one(listener: ListenerName):
    assert "a trusted proxy" in run(address="10.9.9.9", listener=listener).steps[1].text


def test_limits_and_lists_that_ask_nothing():
    team = Team(models=("*",), key_limits=KeyLimits(requests_per_minute=None, concurrent_requests=None))
    bare = Policy(teams={"lab": team}, address_limits=AddressLimits(requests_per_minute=None))
    told = {step.number: step.text for step in run(bare).steps}
    assert told[2] == "let in by default, as no list asks"
    assert (told[6], told[10]) == ("no limit", "no limit")
    reporting = replace(bare, limits=Limits(requests_per_minute=60, mode="report"))
    assert "60 requests a minute for all callers (reports only)" in run(reporting).steps[6].text
    bare_scopes = replace(PRINCIPAL, scopes=frozenset())
    assert "with no scope" in run(bare, prove=lambda: bare_scopes).steps[5].text
