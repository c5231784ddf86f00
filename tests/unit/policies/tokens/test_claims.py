"""What a proven token is worth: teams, models and scopes, product by product."""

from typing import Any

import pytest

from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized
from policies.tokens.claims import principal_of
from policies.tokens.issuer import Entitlement, Issuer
from policies.tokens.jwt import VerifiedJwt
from tests.tokens import ISS, claims, issuer

BOTH = frozenset({"inference", "models"})
ONE, TWO = Entitlement(team="one"), Entitlement(team="two")
ADMIN = Entitlement(scopes=("admin",))
GROUPED = issuer(team=None, groups={"g-one": ONE, "g-two": TWO, "g-admin": ADMIN})


def principal(who: Issuer, **changes: Any) -> Principal:
    verified = VerifiedJwt(claims=claims(**changes), subject="ada", jti="t1", issued_s=1.0, expires_s=2.0, binding="")
    return principal_of(verified, who)


def refusal(who: Issuer, **changes: Any) -> str:
    with pytest.raises(NotAuthorized) as refused:
        principal(who, **changes)
    return refused.value.reason


def test_what_a_principal_carries() -> None:
    networks = Networks(allow=("10.0.0.0/8",))
    assert principal(issuer(networks=networks)) == Principal(
        kind="jwt",
        team="one",
        scopes=BOTH,
        networks=networks,
        subject="ada",
        issuer=ISS,
        jti="t1",
        issued_s=1.0,
        expires_s=2.0,
    )


# ---- team


def test_a_group_gives_a_team() -> None:
    assert principal(GROUPED, groups=["g-two", "unknown"]).team == "two"
    assert principal(GROUPED, groups="g-one").team == "one"


def test_nobody_gets_a_team_without_a_word_from_the_operator() -> None:
    assert refusal(GROUPED) == "jwt_without_team"
    assert refusal(GROUPED, groups=["unknown"]) == "jwt_without_team"
    assert refusal(GROUPED, groups=["g-admin"]) == "jwt_without_team"
    assert refusal(GROUPED, groups=["G-ONE", "g-one "]) == "jwt_without_team"


def test_two_teams_are_none() -> None:
    assert refusal(GROUPED, groups=["g-one", "g-two"]) == "jwt_two_teams"
    twice = issuer(team=None, groups={"a": ONE}, roles={"b": ONE})
    assert principal(twice, groups=["a"], roles=["b"]).team == "one"


def test_order_of_the_sources_of_a_team() -> None:
    who = issuer(team="rest", team_claim="team", groups={"g": ONE})
    assert principal(who, groups=["g"], team="claimed").team == "one"
    assert principal(who, team="claimed").team == "claimed"
    assert principal(who).team == "rest"


@pytest.mark.parametrize("team", ["", 1, ["one"], {}, False])
def test_a_team_claim_that_cannot_be_read_is_no_reason_for_another_team(team: Any) -> None:
    with pytest.raises(NotAuthenticated, match="jwt_claims_form"):
        principal(issuer(team="rest", team_claim="team"), team=team)


# ---- scopes


def test_scopes_as_text_and_as_list() -> None:
    who = issuer(scopes={"corral.admin": ADMIN})
    assert principal(who, scope="openid corral.admin").scopes == {"admin"}
    assert principal(who, scope=["openid", "corral.admin"]).scopes == {"admin"}
    assert principal(who, scope="openid corral.administrator").scopes == BOTH
    assert principal(who, scope="  ").scopes == BOTH
    assert principal(who, scope="openid,corral.admin").scopes == BOTH


def test_required_scopes() -> None:
    who = issuer(required_scopes=("corral.use", "openid"))
    assert principal(who, scope="openid corral.use x").team == "one"
    assert refusal(who, scope="openid") == "jwt_scope_missing"
    assert refusal(who) == "jwt_scope_missing"


def test_scopes_add_up_and_base_scopes_are_for_the_rest() -> None:
    who = issuer(roles={"a": ADMIN, "b": Entitlement(), "c": Entitlement(scopes=())}, base_scopes=("models",))
    assert principal(who, roles=["a", "b"]).scopes == {"admin", "inference", "models"}
    assert principal(who, roles=["a"]).scopes == {"admin"}
    assert principal(who, roles=["c"]).scopes == {"models"}
    assert principal(issuer(base_scopes=())).scopes == frozenset()


def test_no_principal_is_admin_and_auditor() -> None:
    """Two tables could give what one entry may not; no entry can name the auditor's scope before there is one."""
    auditor = Entitlement()
    object.__setattr__(auditor, "scopes", ("auditor",))
    who = issuer(groups={"a": ADMIN}, roles={"b": auditor})
    assert principal(who, groups=["a"]).scopes == {"admin"}
    assert principal(who, roles=["b"]).scopes == {"auditor"}
    assert refusal(who, groups=["a"], roles=["b"]) == "admin_and_auditor_together"


# ---- models


def test_models_narrow() -> None:
    who = issuer(
        groups={"a": Entitlement(models=("m",)), "b": Entitlement(models=("n", "m")), "c": Entitlement(models=())}
    )
    assert principal(who).models is None
    assert principal(who, groups=["a"]).models == ("m",)
    assert principal(who, groups=["a", "b"]).models == ("m", "n")
    assert principal(who, groups=["c"]).models == ()


# ---- products


def test_entra() -> None:
    who = issuer(
        preset="entra", team=None, groups={"g": ONE}, roles={"Corral.Admin": ADMIN}, scopes={"use": Entitlement()}
    )
    found = principal(who, groups=["g"], roles=["Corral.Admin"], scp="use other")
    assert (found.team, found.scopes) == ("one", {"admin", *BOTH})


@pytest.mark.parametrize(
    "overage",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}},
        {"hasgroups": True},
        {"_claim_names": {"groups": "src1"}, "groups": ["g-one"]},
    ],
)
def test_too_many_groups_to_send_are_refused_with_a_reason_of_their_own(overage: dict[str, Any]) -> None:
    assert refusal(GROUPED, **overage) == "jwt_group_overage"
    assert refusal(issuer(groups={"g": ADMIN}), **overage) == "jwt_group_overage"
    assert principal(issuer(roles={"r": ADMIN}), **overage).team == "one", "where groups decide nothing"


def test_keycloak() -> None:
    who = issuer(preset="keycloak", audiences=("corral",), team=None, roles={"user": ONE, "admin": ADMIN})
    mine = {"corral": {"roles": ["admin"]}}
    assert principal(who, realm_access={"roles": ["user"]}).scopes == BOTH
    assert principal(who, realm_access={"roles": ["user"]}, resource_access=mine).scopes == {"admin", *BOTH}
    assert refusal(who, roles=["user"]) == "jwt_without_team"


def test_another_clients_admin_is_not_ours() -> None:
    who = issuer(preset="keycloak", roles={"admin": ADMIN})
    assert principal(who, resource_access={"grafana": {"roles": ["admin"]}}).scopes == BOTH
    assert principal(issuer(roles={"admin": ADMIN}), resource_access={"corral": {"roles": ["admin"]}}).scopes == BOTH


def test_okta() -> None:
    who = issuer(preset="okta", scopes={"corral": Entitlement()}, groups={"Admins": ADMIN})
    assert principal(who, scp=["corral"], groups=["Admins"]).scopes == {"admin", *BOTH}


def test_ad_fs_sends_one_group_as_text() -> None:
    who = issuer(preset="adfs", team=None, groups={"Domain Users": ONE, "Users": TWO})
    assert principal(who, group="Domain Users").team == "one"
    assert principal(who, group=["Domain Users", "x"]).team == "one"


def test_claims_by_the_operators_names() -> None:
    who = issuer(
        scopes_claim="permissions",
        roles_claims=("https://corp.example/roles", "a.b.c", "plain"),
        groups_claim="dotted.name",
        scopes={"s": Entitlement(scopes=("metrics",))},
        roles={"r": ADMIN, "deep": Entitlement(scopes=("models",))},
        groups={"g": Entitlement(scopes=("inference",))},
    )
    assert principal(who, permissions="s").scopes == {"metrics"}
    assert principal(who, **{"https://corp.example/roles": ["r"]}).scopes == {"admin"}
    assert principal(who, a={"b": {"c": ["deep"]}}).scopes == {"models"}
    assert principal(who, a={"b": {}}).scopes == BOTH
    assert principal(who, **{"dotted.name": "g"}).scopes == {"inference"}
    assert principal(who, dotted={"name": "g"}).scopes == {"inference"}
    assert principal(who, scope="s", roles=["r"], groups=["g"]).scopes == BOTH


@pytest.mark.parametrize(
    ("who", "changes"),
    [
        (GROUPED, {"groups": {"g-one": 1}}), (GROUPED, {"groups": [["g-one"]]}), (GROUPED, {"groups": ["g-one", 1]}),
        (GROUPED, {"groups": 1}), (GROUPED, {"groups": True}), (GROUPED, {"_claim_names": []}),
        (issuer(), {"scope": 1}), (issuer(), {"scope": {"a": 1}}), (issuer(), {"roles": [None]}),
        (issuer(preset="keycloak"), {"realm_access": []}), (issuer(preset="keycloak"), {"realm_access": {"roles": {}}}),
        (issuer(preset="keycloak"), {"resource_access": "x"}),
        (issuer(preset="keycloak"), {"resource_access": {"corral": []}}),
        (issuer(preset="keycloak"), {"resource_access": {"corral": {"roles": [1]}}}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_never_passed_over(who: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="jwt_claims_form"):
        principal(who, **changes)


def test_null_is_as_good_as_absent() -> None:
    assert principal(issuer(groups={"g": ADMIN}), groups=None, roles=None, scope=None, _claim_names=None).scopes == BOTH
