"""What the page of the policy shows: every setting, or those of a viewer's own teams."""

from gateway.console.policy.live_page import placed_remarks, settings_of
from policies.addresses.networks import Networks
from policies.console.roles import RoleGrant
from policies.policy import Limits, Policy, Team

POLICY = Policy(
    teams={"lab": Team(models=("m",), limits=Limits(tokens_per_day=5)), "ops": Team(weight=2.5, models=())},
    networks=Networks(allow=("10.0.0.0/8",)),
    roles=(RoleGrant(role="admin", groups=("ops",)), RoleGrant(role="team-lead", subjects=("u",), teams=("lab",))),
)


def test_every_setting_with_its_default():
    shown = dict(settings_of(POLICY, None))
    assert shown["teams.lab.limits.tokens_per_day"] == "5"
    assert shown["teams.lab.limits.tokens_per_month"] == "null"
    assert shown["teams.lab.models"] == "m"
    assert shown["teams.ops.models"] == "[]"
    assert shown["teams.ops.weight"] == "2.5"
    assert shown["networks.allow"] == "10.0.0.0/8"
    assert shown["unsafe_trust_all_proxies"] == "false"
    assert shown["issuers"] == "{}"
    assert shown["roles.0.role"] == "admin"
    assert shown["roles.1.teams"] == "lab"
    assert shown["bands.interactive.lends"] == "true"


def test_a_limited_viewer_sees_their_teams_alone():
    shown = dict(settings_of(POLICY, ["ops"]))
    assert shown
    assert all(name.startswith("teams.ops.") for name in shown)
    assert dict(settings_of(POLICY, [])) == {"teams": "{}"}


def test_remarks_have_their_line():
    text = "teams:\n  lab: {models: [m]}\n  ops:\n    models: []\nnetworks: {allow: [10.0.0.0/8]}\n"
    assert (4, 'teams.ops.models names no model, so the team can use none; "*" is every model') in placed_remarks(
        POLICY, text
    )
    assert placed_remarks(POLICY, "a: [") == ()
