"""From a principal's team to claims."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.limiting.limit_grant import LimitGrant
from policies.limiting.limits import (
    BudgetClaim,
    Claim,
    ConcurrencyClaim,
    RateClaim,
    Work,
    dimensions,
    effective_team,
    longest_answer,
    request_claims,
    work_claims,
)
from policies.limiting.rate_limit import Rate
from policies.policy import AddressLimits, KeyLimits, Limits, Policy, Team

KEY = Principal(kind="api_key", team="a", key_id="k1", scopes=frozenset(), networks=Networks())
CLIENT = ip_address("192.0.2.7")
NONE = KeyLimits(requests_per_minute=None, concurrent_requests=None)
ALL = Limits(
    requests_per_minute=6,
    burst_requests=2,
    concurrent_requests=3,
    prompt_tokens_per_minute=100,
    output_tokens_per_minute=50,
    tokens_per_day=1000,
    tokens_per_month=9000,
)
WORK = Work("m:latest", 40, 10)


def policy(**fields: object) -> Policy:
    values: dict[str, object] = {"teams": {}, "address_limits": AddressLimits(requests_per_minute=None)}
    return Policy(**(values | fields))  # type: ignore[arg-type]


def test_every_dimension_has_its_own_request_rate_at_step_6() -> None:
    limits = {"requests_per_minute": 6, "burst_requests": 2}
    team = Team(limits=Limits(**limits), key_limits=KeyLimits(**limits))
    found = policy(
        limits=Limits(**limits), address_limits=AddressLimits(**limits), model_limits={"m": Limits(**limits)}
    )
    claims = request_claims(KEY, team, found, CLIENT)
    assert [(claim.name, claim.subject, claim.reason) for claim in claims] == [
        ("requests:address:192.0.2.7", "your address", "rate_limited_address"),
        ("requests:key:k1", "this key", "rate_limited_key"),
        ("requests:team:a", "team a", "rate_limited_team"),
        ("requests:all", "all callers", "rate_limited_all"),
    ]
    assert {(claim.rate, claim.cost, claim.unit, claim.report) for claim in claims} == {
        (Rate(6, 2), 1, "requests", False)
    }
    assert claims[1].limit_text == "6 requests a minute for this key"


def test_no_limit_makes_no_claim() -> None:
    assert request_claims(KEY, Team(key_limits=NONE), policy(), CLIENT) == ()
    claims = work_claims(KEY, Team(key_limits=NONE), policy(), CLIENT, WORK)
    assert (claims.rates, claims.concurrency, claims.budgets) == ((), (), ())


def test_what_is_on_by_default() -> None:
    found = Policy(teams={})
    claims = request_claims(KEY, Team(), found, CLIENT)
    assert [(claim.whose, claim.rate) for claim in claims] == [("address", Rate(3000, 600)), ("key", Rate(600, 60))]
    work = work_claims(KEY, Team(), found, CLIENT, WORK)
    assert work.concurrency == (ConcurrencyClaim("concurrent:key:k1", 32),)
    assert (work.rates, work.budgets) == ((), ())


def test_step_10_reserves_the_rest_of_every_dimension() -> None:
    found = policy(model_limits={"m": ALL})
    claims = work_claims(KEY, Team(key_limits=NONE), found, CLIENT, WORK)
    assert claims.rates == (
        RateClaim("requests:model:m:latest", Rate(6, 2), 1, "model m:latest", "requests", whose="model"),
        RateClaim("prompt_tokens:model:m:latest", Rate(100, 100), 40, "model m:latest", "prompt_tokens", whose="model"),
        RateClaim("output_tokens:model:m:latest", Rate(50, 50), 10, "model m:latest", "output_tokens", whose="model"),
    )
    assert claims.concurrency == (ConcurrencyClaim("concurrent:model:m:latest", 3, "model m:latest", whose="model"),)
    assert claims.budgets == (
        BudgetClaim("day:model:m:latest", 1000, 50, "day", "model m:latest", whose="model"),
        BudgetClaim("month:model:m:latest", 9000, 50, "month", "model m:latest", whose="model"),
    )
    reasons = [claim.reason for claim in (*claims.rates, *claims.concurrency, *claims.budgets)]
    assert reasons == [
        "rate_limited_model",
        "prompt_tokens_limited_model",
        "output_tokens_limited_model",
        "concurrency_limited_model",
        "day_budget_used_up_model",
        "month_budget_used_up_model",
    ]
    assert claims.rates[1].limit_text == "100 prompt tokens a minute for model m:latest"
    assert claims.concurrency[0].limit_text == "3 concurrent requests for model m:latest"
    assert claims.budgets[0].limit_text == "1000 tokens a day for model m:latest"


@pytest.mark.parametrize("place", ["address", "key", "team", "all"])
def test_each_of_them_is_bounded_by_its_own_figures(place: str) -> None:
    figures = {name: getattr(ALL, name) for name in ALL.__slots__}
    team = Team(
        limits=ALL if place == "team" else Limits(), key_limits=KeyLimits(**figures) if place == "key" else NONE
    )
    found = policy(
        limits=ALL if place == "all" else Limits(),
        address_limits=AddressLimits(**figures) if place == "address" else AddressLimits(requests_per_minute=None),
    )
    claims = work_claims(KEY, team, found, CLIENT, WORK)
    assert {claim.whose for claim in (*claims.rates, *claims.concurrency, *claims.budgets)} == {place}
    assert (len(claims.rates), len(claims.concurrency), len(claims.budgets)) == (2, 1, 2)


def test_report_is_handed_on_to_every_claim() -> None:
    team = Team(limits=replace(ALL, mode="report"), key_limits=NONE)
    claims = work_claims(KEY, team, policy(), CLIENT, WORK)
    assert all(claim.report for claim in (*claims.rates, *claims.concurrency, *claims.budgets))
    assert request_claims(KEY, team, policy(), CLIENT)[0].report


def test_a_model_s_limits_are_found_however_it_is_spelt() -> None:
    found = policy(model_limits={"Llama3": Limits(concurrent_requests=1), "other": ALL})
    assert found.limits_of_model("llama3:latest") == Limits(concurrent_requests=1)
    assert found.limits_of_model("unknown") == Limits()


def test_a_model_has_one_set_of_limits() -> None:
    with pytest.raises(ValueError, match="model_limits names one model in two spellings"):
        policy(model_limits={"m": ALL, "M:latest": ALL})


def test_one_host_is_one_client_whatever_address_of_its_64_it_takes() -> None:
    found = policy(address_limits=AddressLimits())
    names = {
        request_claims(KEY, Team(key_limits=NONE), found, ip_address(text))[0].name
        for text in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")
    }
    assert names == {"requests:address:2001:db8::/64", "requests:address:2001:db8:0:1::/64"}


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (ConcurrencyClaim("c", 1), "1 concurrent request for this key"),
        (ConcurrencyClaim("c", 2), "2 concurrent requests for this key"),
        (RateClaim("r", Rate(1, 1)), "1 request a minute for this key"),
        (RateClaim("r", Rate(1, 1), unit="prompt_tokens"), "1 prompt token a minute for this key"),
        (BudgetClaim("b", 1, 1, "day"), "1 token a day for this key"),
    ],
)
def test_one_is_told_in_the_singular(claim: Claim, text: str) -> None:
    assert claim.limit_text == text


@pytest.mark.parametrize(
    ("kind", "word"), [("api_key", "this key"), ("ssh_key", "this key"), ("certificate", "this login")]
)
def test_whose_limit_it_is_in_the_callers_words(kind: Any, word: str) -> None:
    made_up = Principal(kind=kind, team="a", scopes=frozenset(), networks=Networks())
    assert dimensions(made_up, Team(), policy(), CLIENT)[1].subject == word


def test_callers_without_a_key_are_told_of_their_login() -> None:
    jwt = Principal(kind="jwt", team="a", scopes=frozenset(), networks=Networks(), subject="s", issuer="i")
    claim = request_claims(jwt, Team(), policy(), CLIENT)[0]
    assert (claim.subject, claim.name) == ("this login", f"requests:{jwt.limit_name}")


def test_a_burst_counts_for_a_day_at_most() -> None:
    team = Team(key_limits=KeyLimits(requests_per_minute=1, burst_requests=5000))
    assert request_claims(KEY, team, policy(), CLIENT)[0].rate == Rate(1, 1440)


def test_no_answer_is_promised_that_no_minute_could_hold() -> None:
    limited = Limits(output_tokens_per_minute=100)
    assert longest_answer(Team(), policy(), "m") == 4096
    assert longest_answer(Team(limits=limited), policy(), "m") == 100
    assert longest_answer(Team(), policy(model_limits={"m": limited}), "m") == 100
    assert longest_answer(Team(limits=replace(limited, mode="report")), policy(), "m") == 4096
    assert longest_answer(Team(), policy(model_limits={"m": limited}), "sql:1", "m") == 100


def test_an_adapter_is_held_to_its_own_limits_and_its_bases() -> None:
    bounds = {"m": Limits(requests_per_minute=7, tokens_per_day=900), "sql:1": Limits(requests_per_minute=5)}
    claims = work_claims(KEY, Team(), policy(model_limits=bounds), CLIENT, Work("sql:1", 40, 10, "m:latest"))
    assert [claim.name for claim in claims.rates if claim.name.startswith("requests:model:")] == [
        "requests:model:sql:1",
        "requests:model:m:latest",
    ]
    assert [claim.name for claim in claims.budgets if "model:" in claim.name] == ["day:model:m:latest"]


def test_exceptions_widen_a_team_s_limits_and_those_of_its_keys() -> None:
    team = Team(limits=Limits(requests_per_minute=700))
    grant = LimitGrant(id="g", team="a", limit="requests_per_minute", value=1000, until_s=10.0, made_s=0.0)
    wider = effective_team(team, [grant], 5.0)
    assert (wider.limits.requests_per_minute, wider.key_limits.requests_per_minute) == (1000, 1000)
    assert wider.key_limits.concurrent_requests == 32
    assert effective_team(team, [grant], 10.0) is team
    assert effective_team(team, [], 5.0) is team


def test_unfit_figures_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="tokens_per_day must be at least 1, or null"):
        Limits(tokens_per_day=0)
    with pytest.raises(ValueError, match="requests_per_minute must be at most 1000000000"):
        Limits(requests_per_minute=10**9 + 1)
    assert Limits(tokens_per_month=10**12).tokens_per_month == 10**12
