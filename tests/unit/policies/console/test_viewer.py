"""Who looks: own teams, and roles."""

import pytest

from policies.audit_record import Actor
from policies.console.viewer import EVERY_ROLE, Role, Viewer
from policies.errors import NotAuthorized


def viewer(role: Role, teams: frozenset[str] | None) -> Viewer:
    return Viewer(person="Anna", actor=Actor(kind="subject", name="anna"), role=role, teams=teams, session="s")


def test_teams_left_out_are_all():
    everybody = viewer("auditor", None)
    assert everybody.may_see_team("one")
    everybody.require_team("any")


def test_only_own_teams_are_seen():
    lead = viewer("team-lead", frozenset({"one"}))
    lead.require_team("one")
    assert not lead.may_see_team("two")
    with pytest.raises(NotAuthorized) as refused:
        lead.require_team("two")
    assert refused.value.reason == "console_team_not_own"


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
def test_a_role_is_one_of_those_asked_for(role):
    viewer(role, None).require_role(*EVERY_ROLE)
    others = EVERY_ROLE - {role}
    with pytest.raises(NotAuthorized) as refused:
        viewer(role, None).require_role(*others)
    assert refused.value.reason == "console_role_missing"
