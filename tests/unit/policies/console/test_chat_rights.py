from dataclasses import replace

import pytest
from msgspec import structs

from policies.addresses.networks import Networks
from policies.console.chat_rights import CHATS, chat_teams, session_principal
from policies.console.roles import Standing
from policies.console.session import LONGEST_S, Proof, Session
from policies.credentials.principal import Principal
from policies.errors import NotAuthorized

KNOWN = ("two", "one", "three")
ADMIN, AUDITOR = Standing("admin", None), Standing("auditor", None)
LEAD = Standing("team-lead", frozenset({"one", "three", "gone"}))
PROOF = Proof(method="oidc", subject="anna", issuer="https://idp", groups=("staff",), issued_s=900.0)
SESSION = Session(id="5e55", proof=PROOF, opened_s=1_000.0, seen_s=1_500.0)
KEY_SESSION = structs.replace(SESSION, proof=Proof(method="break_glass", subject="olga", key_id="k1"))
KEY = Principal(
    kind="api_key",
    team="two",
    key_id="k2",
    first_key_id="k1",
    owner="olga",
    scopes=frozenset({"admin", "inference"}),
    networks=Networks(allow=("192.0.2.0/24",)),
    expires_s=9_000.0,
)


def test_an_auditor_chats_as_nobody() -> None:
    assert chat_teams(AUDITOR, KNOWN, None) == ()
    with pytest.raises(NotAuthorized, match="console_chat_not_theirs"):
        session_principal(AUDITOR, SESSION, "one", None)


def test_a_lead_chats_as_the_own_teams_that_there_are() -> None:
    assert chat_teams(LEAD, KNOWN, None) == ("one", "three")
    with pytest.raises(NotAuthorized) as refused:
        session_principal(LEAD, SESSION, "two", None)
    assert (refused.value.actor, refused.value.issuer) == ("anna", "https://idp")


def test_an_admin_chats_as_any_team() -> None:
    assert chat_teams(ADMIN, KNOWN, None) == ("one", "three", "two")
    assert session_principal(ADMIN, SESSION, "two", None).team == "two"


def test_a_key_chats_as_its_team_and_only_where_it_may_ask_itself() -> None:
    assert chat_teams(ADMIN, KNOWN, KEY) == ("two",)
    mute = replace(KEY, scopes=frozenset({"admin"}))
    assert chat_teams(ADMIN, KNOWN, mute) == ()
    for team, key in (("one", KEY), ("two", mute), ("two", None)):
        with pytest.raises(NotAuthorized):
            session_principal(ADMIN, KEY_SESSION, team, key)


def test_the_principal_is_the_person_and_ends_with_the_session() -> None:
    found = session_principal(LEAD, SESSION, "one", None)
    assert (found.kind, found.actor, found.issuer, found.jti) == ("session", "anna", "https://idp", "5e55")
    assert (found.scopes, found.networks, found.issued_s) == (CHATS, Networks(), 900.0)
    assert found.expires_s == 1_000.0 + LONGEST_S


def test_more_sessions_of_one_person_share_one_limit_and_no_other_persons() -> None:
    again = structs.replace(SESSION, id="other")
    names = {session_principal(LEAD, each, "one", None).limit_name for each in (SESSION, again)}
    other = structs.replace(SESSION, proof=structs.replace(PROOF, subject="bert"))
    assert len(names) == 1
    assert session_principal(LEAD, other, "one", None).limit_name not in names


def test_a_keys_session_has_the_keys_limits_networks_and_end() -> None:
    found = session_principal(ADMIN, KEY_SESSION, "two", KEY)
    assert (found.kind, found.limit_name, found.networks) == ("session", "key:k1", KEY.networks)
    assert (found.scopes, found.expires_s, found.jti) == (CHATS, 9_000.0, "5e55")
    endless = session_principal(ADMIN, KEY_SESSION, "two", replace(KEY, expires_s=None))
    assert endless.expires_s == 1_000.0 + LONGEST_S
