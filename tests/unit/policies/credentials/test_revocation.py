"""Who is let in no longer: lockdown before revocation, what came before and what after, and what a stream ends with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation, Revocations, cause_to_cut
from policies.errors import LockedDown, NotAuthenticated, Revoked

AT_S = 1_800_000_000.5


def principal(**changes: object) -> Principal:
    values = {"kind": "jwt", "team": "blue", "scopes": frozenset({"models"}), "networks": Networks()}
    return Principal(**values | {"subject": "anna", "jti": "t1", "issued_s": AT_S} | changes)


def revoked(kind: str, subject: str, at_s: float = AT_S) -> Revocations:
    return Revocations().with_revocations([Revocation(kind=kind, subject=subject, at_s=at_s)])


def locked(*teams: str) -> Revocations:
    return Revocations().with_lockdowns(Lockdown(team=team, since_s=AT_S) for team in teams)


def reason(revocations: Revocations, caller: Principal) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        revocations.check(caller)
    assert refused.value.presented
    return refused.value.reason


def test_nobody_is_revoked_at_first():
    Revocations().check(principal())


@pytest.mark.parametrize(
    ("kind", "subject", "expected"),
    [("team", "blue", "revoked_team"), ("actor", "anna", "revoked_actor"), ("jti", "t1", "revoked_token")],
)
def test_what_was_issued_before_is_refused(kind, subject, expected):
    assert reason(revoked(kind, subject), principal(issued_s=AT_S - 1)) == expected
    revoked(kind, "other").check(principal(issued_s=AT_S - 1))


@pytest.mark.parametrize(("kind", "subject"), [("team", "blue"), ("actor", "anna")])
def test_what_is_issued_after_is_let_in_and_the_same_moment_is_not(kind, subject):
    revocations = revoked(kind, subject)
    revocations.check(principal(issued_s=AT_S + 0.5))
    assert reason(revocations, principal(issued_s=AT_S)) == f"revoked_{kind}"
    assert reason(revocations, principal(issued_s=float(int(AT_S)))) == f"revoked_{kind}"
    assert reason(revocations, principal(issued_s=None)) == f"revoked_{kind}"


def test_a_token_is_revoked_by_its_id_whenever_it_was_issued():
    assert reason(revoked("jti", "t1"), principal(issued_s=AT_S + 9)) == "revoked_token"
    revoked("jti", "t1").check(principal(jti=""))


@pytest.mark.parametrize(
    "caller",
    [
        principal(kind="api_key", subject="", jti="", owner="anna", key_id="k1"),
        principal(kind="ssh_key", subject="", jti="", owner="anna", key_id="ssh-1"),
        principal(kind="certificate", subject="anna", jti="", issued_s=None),
    ],
)
def test_an_actor_is_the_owner_of_a_key_and_the_name_in_a_certificate_too(caller):
    assert reason(revoked("actor", "anna"), caller) == "revoked_actor"


def test_a_lockdown_refuses_everything_of_the_team_or_of_all():
    fresh = principal(issued_s=AT_S + 9)
    with pytest.raises(LockedDown, match="lockdown_team"):
        locked("blue").check(fresh)
    with pytest.raises(LockedDown, match="lockdown_all"):
        locked(ALL_TEAMS, "blue").check(fresh)
    locked("red").check(fresh)
    locked("blue").without_lockdown("blue").check(fresh)
    with pytest.raises(LockedDown, match="lockdown_team"):
        locked(ALL_TEAMS, "blue").without_lockdown(ALL_TEAMS).check(fresh)


def test_a_lockdown_is_told_before_a_revocation():
    both = locked("blue").with_revocations([Revocation(kind="actor", subject="anna", at_s=AT_S)])
    with pytest.raises(LockedDown):
        both.check(principal())
    assert reason(both.without_lockdown("blue"), principal()) == "revoked_actor"


def test_of_two_for_one_subject_the_later_holds_and_a_lockdown_keeps_its_start():
    twice = revoked("actor", "anna", AT_S).with_revocations([Revocation(kind="actor", subject="anna", at_s=AT_S - 5)])
    assert twice == revoked("actor", "anna", AT_S)
    again = locked("blue").with_lockdowns([Lockdown(team="blue", since_s=AT_S + 5)])
    assert again == locked("blue")


def test_a_change_leaves_the_value_it_was_made_from_alone():
    before = Revocations()
    before.with_lockdowns([Lockdown(team="blue", since_s=1)]).with_revocations(
        [Revocation(kind="jti", subject="t1", at_s=1)]
    )
    before.check(principal())


@pytest.mark.parametrize(("kind", "subject"), [("person", "anna"), ("actor", "")])
def test_a_revocation_of_nothing_is_none(kind, subject):
    with pytest.raises(ValueError, match="a revocation needs"):
        Revocation(kind=kind, subject=subject, at_s=1)


TIMES = st.floats(0, 2e9, allow_nan=False)


@given(st.lists(TIMES, min_size=1), TIMES)
def test_any_order_of_revocations_refuses_exactly_what_the_latest_reaches(times, issued_s):
    revocations = Revocations()
    for at_s in times:
        revocations = revocations.with_revocations([Revocation(kind="team", subject="blue", at_s=at_s)])
    if issued_s <= max(times):
        assert reason(revocations, principal(issued_s=issued_s)) == "revoked_team"
    else:
        revocations.check(principal(issued_s=issued_s))


def test_a_stream_ends_with_what_would_refuse_it_now():
    cause = cause_to_cut(principal(), revoked("actor", "anna"), AT_S)
    assert isinstance(cause, Revoked)
    assert cause.reason == "revoked_actor_while_running"
    assert isinstance(cause_to_cut(principal(), locked("blue"), AT_S), LockedDown)


def test_a_stream_ends_with_its_credential():
    caller = principal(expires_s=AT_S + 1)
    assert cause_to_cut(caller, Revocations(), AT_S) is None
    cause = cause_to_cut(caller, Revocations(), AT_S + 1)
    assert isinstance(cause, Revoked)
    assert cause.reason == "expired_while_running"
    assert cause_to_cut(principal(), Revocations(), AT_S) is None


@pytest.mark.parametrize("name", ["uri:a", "dns:a", "email:a@b"])
def test_a_certificate_is_revoked_by_any_of_its_names(name):
    caller = principal(kind="certificate", subject="uri:a", owner="uri:a", other_names=("dns:a", "email:a@b"), jti="")
    assert reason(revoked("actor", name), caller) == "revoked_actor"
    revoked("actor", "dns:b").check(caller)
