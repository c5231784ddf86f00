"""Default deny: scope, team, team's networks, team's models."""

from dataclasses import replace

import pytest

from policies.access import Scope
from policies.addresses.networks import Networks, read_address
from policies.authorization import Grant, authorize_model, authorize_scope, team_of, visible_models
from policies.call import ModelCard
from policies.credentials.principal import Principal
from policies.errors import AddressNotAllowed, ModelUnknown, NotAuthorized
from policies.policy import Policy, Team

HERE = read_address("192.0.2.1")
CARDS = tuple(ModelCard(name=name, digest="0" * 64, size_bytes=1, modified_at=0.0) for name in ("a:latest", "b:latest"))
POLICY = Policy(
    teams={
        "one": Team(models=("a:latest",)),
        "all": Team(models=("*",)),
        "far": Team(models=("*",), networks=Networks(allow=("198.51.100.0/24",))),
    }
)


def principal(team: str, *scopes: str) -> Principal:
    return Principal(kind="api_key", team=team, key_id="k", owner="", scopes=frozenset(scopes), networks=Networks())


def granted(team: str, holds: str, scope: Scope) -> Grant:
    caller = principal(team, holds)
    return authorize_scope(caller, team_of(caller, POLICY), scope, HERE)


def find(name: str) -> ModelCard | None:
    return next((card for card in CARDS if card.name == name), None)


@pytest.mark.parametrize("scope", ["models", "inference", "metrics", "admin"])
def test_a_scope_that_the_key_lacks_is_refused(scope: Scope) -> None:
    with pytest.raises(NotAuthorized, match=f"scope_{scope}_missing"):
        authorize_scope(principal("one"), POLICY.teams["one"], scope, HERE)


def test_a_team_that_the_policy_lost_is_refused() -> None:
    with pytest.raises(NotAuthorized, match="team_not_in_policy"):
        granted("gone", "models", "models")


def test_a_team_is_held_to_its_networks() -> None:
    with pytest.raises(AddressNotAllowed, match="team_network"):
        granted("far", "models", "models")


def test_foreign_and_unknown_models_look_alike() -> None:
    grant = granted("one", "inference", "inference")
    assert authorize_model(grant, "a:latest", find).name == "a:latest"
    errors = []
    for name in ("b:latest", "c:latest"):
        with pytest.raises(ModelUnknown) as caught:
            authorize_model(grant, name, find)
        errors.append(caught.value)
    assert errors[0].status == errors[1].status == 404
    assert [error.model for error in errors] == ["b:latest", "c:latest"]


def test_lists_show_what_the_team_may_use_and_only_that() -> None:
    one = granted("one", "models", "models")
    everything = granted("all", "models", "models")
    assert [card.name for card in visible_models(one, CARDS)] == ["a:latest"]
    assert visible_models(everything, CARDS) == CARDS


@pytest.mark.parametrize(
    ("models", "seen"), [(None, ["a:latest"]), (("A",), ["a:latest"]), (("b:latest",), []), ((), [])]
)
def test_a_credentials_own_list_narrows_the_teams_and_never_widens_it(
    models: tuple[str, ...] | None, seen: list[str]
) -> None:
    caller = replace(principal("one", "models"), models=models)
    grant = authorize_scope(caller, team_of(caller, POLICY), "models", HERE)
    assert [card.name for card in visible_models(grant, CARDS)] == seen
    if "a:latest" not in seen:
        with pytest.raises(ModelUnknown, match="model_not_of_credential"):
            authorize_model(grant, "a:latest", find)
    with pytest.raises(ModelUnknown, match="model_not_of_team"):
        authorize_model(grant, "b:latest", find)
