"""The table of who may do what at all; what it does not name is refused."""

from typing import get_args

import pytest

from policies.access import ACCESS, EVERY_KIND, Kind, Scope, require_scope, require_separation
from policies.errors import NotAuthorized

SCOPES: tuple[Scope, ...] = get_args(Scope)


def test_every_scope_has_a_row_and_every_kind_is_known() -> None:
    assert set(ACCESS) == set(SCOPES)
    assert set(get_args(Kind)) == EVERY_KIND


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", sorted(EVERY_KIND))
def test_a_kind_uses_a_scope_only_where_the_table_says_so_and_only_when_it_holds_it(kind: Kind, scope: Scope) -> None:
    if kind in ACCESS[scope].kinds:
        require_scope(kind, {scope}, scope)
    else:
        with pytest.raises(NotAuthorized, match=f"scope_{scope}_not_for_{kind}"):
            require_scope(kind, {scope}, scope)
    with pytest.raises(NotAuthorized, match=f"scope_{scope}_missing"):
        require_scope(kind, set(SCOPES) - {scope}, scope)


def test_what_changes_something_or_shows_all_teams_is_on_the_admin_listener_only() -> None:
    assert {scope for scope in SCOPES if "public" not in ACCESS[scope].listeners} == {"metrics", "admin"}


def test_a_registered_public_key_asks_models_and_no_more() -> None:
    assert {scope for scope in SCOPES if "ssh_key" in ACCESS[scope].kinds} == {"models", "inference"}


def test_a_session_of_the_console_asks_models_and_no_more() -> None:
    assert {scope for scope in SCOPES if "session" in ACCESS[scope].kinds} == {"inference"}
    assert {scope for scope in SCOPES if "console" in ACCESS[scope].listeners} == {"inference"}


def test_nobody_changes_things_and_reviews_the_changes() -> None:
    require_separation({"admin", "inference"})
    require_separation({"auditor"})
    with pytest.raises(NotAuthorized, match="admin_and_auditor_together"):
        require_separation({"admin", "auditor", "models"})
