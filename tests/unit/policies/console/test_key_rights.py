"""Who may do what with which keys: a table, every role against every kind of key."""

import pytest

from policies.audit_record import Actor
from policies.console.key_rights import may_command, may_manage, offered_scopes, require_endless, require_manage
from policies.console.viewer import Role, Viewer
from policies.errors import NotAuthorized

CALLING = frozenset({"inference", "models"})


def viewer(role: Role, *teams: str) -> Viewer:
    own = frozenset(teams) if teams else None
    return Viewer(person="p", actor=Actor(kind="operator", name="p"), role=role, teams=own, session="s")


@pytest.mark.parametrize(
    ("who", "team", "scopes", "allowed"),
    [
        (viewer("admin"), "lab", CALLING, True),
        (viewer("admin"), "lab", frozenset({"admin"}), True),
        (viewer("auditor"), "lab", CALLING, False),
        (viewer("auditor", "lab"), "lab", CALLING, False),
        (viewer("team-lead", "lab"), "lab", CALLING, True),
        (viewer("team-lead", "lab"), "lab", frozenset({"inference"}), True),
        (viewer("team-lead", "lab"), "other", CALLING, False),
        (viewer("team-lead", "lab"), "lab", frozenset({"admin"}), False),
        (viewer("team-lead", "lab"), "lab", CALLING | {"metrics"}, False),
        (viewer("team-lead", "lab"), "lab", frozenset({"root"}), False),
        (viewer("admin"), "lab", frozenset({"root"}), False),
    ],
)
def test_who_manages_which_key(who: Viewer, team: str, scopes: frozenset[str], allowed: bool):
    assert may_manage(who, team, scopes) is allowed
    if allowed:
        require_manage(who, team, scopes)
    else:
        with pytest.raises(NotAuthorized):
            require_manage(who, team, scopes)


def test_the_scopes_of_a_form():
    assert offered_scopes(viewer("admin")) == ("inference", "models", "admin", "metrics")
    assert offered_scopes(viewer("team-lead", "lab")) == ("inference", "models")
    assert offered_scopes(viewer("auditor")) == ()


def test_only_an_admin_makes_keys_without_end_and_commands():
    require_endless(viewer("admin"))
    for other in (viewer("auditor"), viewer("team-lead", "lab")):
        assert not may_command(other)
        with pytest.raises(NotAuthorized):
            require_endless(other)
    assert may_command(viewer("admin"))
