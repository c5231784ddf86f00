"""Roles: what makes one, what stands apart, whose teams."""

import itertools

import pytest

from policies.console.roles import RoleGrant, standing_of, unknown_teams
from policies.console.session import Proof
from policies.console.viewer import ROLES
from policies.errors import NotAuthorized

ANNA = "email:anna@example.org"
ADMIN = RoleGrant(role="admin", groups=("ops",))
AUDITOR = RoleGrant(role="auditor", groups=("audit",), teams=("one",))
LEAD = RoleGrant(role="team-lead", subjects=("lea",), teams=("one",))


def oidc(subject: str = "somebody", *groups: str) -> Proof:
    return Proof(method="oidc", subject=subject, issuer="https://id.example", groups=groups)


def reason(proof: Proof, *grants: RoleGrant) -> str:
    with pytest.raises(NotAuthorized) as refused:
        standing_of(proof, grants)
    assert (refused.value.actor, refused.value.issuer) == (proof.subject, proof.issuer)
    return refused.value.reason


def test_nobody_holds_a_role_by_default():
    assert reason(oidc("anna", "ops")) == "console_role_none"
    assert reason(oidc("anna", "other"), ADMIN, AUDITOR, LEAD) == "console_role_none"


def test_a_group_a_subject_or_a_certificate_makes_a_role():
    assert standing_of(oidc("anna", "x", "ops"), [ADMIN]) == standing_of(oidc("b", "ops"), [AUDITOR, ADMIN])
    assert standing_of(oidc("lea"), [LEAD]).teams == {"one"}
    by_certificate = Proof(method="certificate", subject=ANNA, names=("dns:a", ANNA))
    grant = RoleGrant(role="auditor", certificates=(ANNA,))
    assert standing_of(by_certificate, [grant]).role == "auditor"


def test_a_certificates_name_is_no_subject_and_a_subject_no_certificate():
    by_certificate = Proof(method="certificate", subject="lea", names=("lea",), groups=("ops",))
    assert reason(by_certificate, LEAD, ADMIN) == "console_role_none"
    assert reason(oidc(ANNA), RoleGrant(role="admin", certificates=(ANNA,))) == "console_role_none"


def test_a_key_is_an_admins_whatever_the_policy_says():
    standing = standing_of(Proof(method="break_glass", subject="anna", key_id="k"), [AUDITOR])
    assert (standing.role, standing.teams) == ("admin", None)


@pytest.mark.parametrize("other", ["admin", "team-lead"])
def test_an_auditor_holds_no_other_role(other):
    second = RoleGrant(role=other, groups=("both",), teams=("one",) if other == "team-lead" else None)
    first = RoleGrant(role="auditor", groups=("both",))
    assert reason(oidc("anna", "both"), first, second).startswith("console_a")
    assert reason(oidc("anna", "both"), first, second).endswith("_together")


def test_of_admin_and_lead_the_admins_holds_with_all_teams():
    standing = standing_of(oidc("lea", "ops"), [LEAD, ADMIN])
    assert (standing.role, standing.teams) == ("admin", None)


def test_the_teams_of_all_entries_count_together_and_one_without_any_is_all():
    more = RoleGrant(role="auditor", subjects=("anna",), teams=("two", "three"))
    assert standing_of(oidc("anna", "audit"), [AUDITOR, more]).teams == {"one", "two", "three"}
    everything = RoleGrant(role="auditor", subjects=("anna",))
    assert standing_of(oidc("anna", "audit"), [AUDITOR, everything]).teams is None


def test_whatever_is_held_auditor_and_another_never_meet():
    grants = {
        role: RoleGrant(role=role, groups=(role,), teams=("one",) if role == "team-lead" else None) for role in ROLES
    }
    for count in range(1, 4):
        for held in itertools.combinations(ROLES, count):
            proof = oidc("x", *held)
            if "auditor" in held and count > 1:
                reason(proof, *grants.values())
            else:
                assert standing_of(proof, grants.values()).role == ("admin" if "admin" in held else held[0])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"role": "admin"}, "names nobody"),
        ({"role": "auditor", "groups": ("",)}, "1 to 256 characters"),
        ({"role": "auditor", "subjects": ("x" * 257,)}, "1 to 256 characters"),
        ({"role": "team-lead", "groups": ("a",)}, "needs teams"),
        ({"role": "admin", "groups": ("a",), "teams": ("one",)}, "leave teams out"),
        ({"role": "auditor", "certificates": ("anna",)}, "subject alternative name"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        RoleGrant(**values)


def test_teams_that_the_policy_has_not_are_told_with_their_entry():
    assert list(unknown_teams([ADMIN, AUDITOR, LEAD], ["two"])) == [(1, "one"), (2, "one")]
    assert list(unknown_teams([ADMIN, LEAD], ["one"])) == []
