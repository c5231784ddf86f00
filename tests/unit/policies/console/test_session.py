"""A session's two bounds, what counts as use, and how many one person may have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from policies.console.session import (
    CLOCK_S,
    IDLE_S,
    LONGEST_S,
    MAX_OF_PERSON,
    Proof,
    Session,
    beyond_bound,
    counts_as_use,
    require_live,
)
from policies.errors import NotAuthenticated

PROOF = Proof(method="oidc", subject="anna", issuer="https://id.example", name="Anna")


def session(name: str = "s", opened_s: float = 0.0, seen_s: float = 0.0, proof: Proof = PROOF) -> Session:
    return Session(id=name, proof=proof, opened_s=opened_s, seen_s=seen_s)


def ended_for(each: Session, now_s: float) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        require_live(each, now_s)
    return refused.value.reason


def test_it_ends_a_quarter_of_an_hour_after_its_last_use():
    require_live(session(seen_s=100.0), 100.0 + IDLE_S - 0.001)
    assert ended_for(session(seen_s=100.0), 100.0 + IDLE_S) == "session_idle"


def test_it_ends_after_eight_hours_however_busy():
    require_live(session(seen_s=LONGEST_S - 1), LONGEST_S - 0.001)
    assert ended_for(session(seen_s=LONGEST_S), LONGEST_S) == "session_too_old"


def test_one_of_the_future_is_none():
    require_live(session(opened_s=CLOCK_S), 0.0)
    assert ended_for(session(opened_s=CLOCK_S + 1), 0.0) == "session_of_the_future"


@settings(max_examples=200)
@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_it_lives_exactly_until_it_says(opened_s, used_s, now_s):
    each = session(opened_s=opened_s, seen_s=opened_s + used_s)
    lives = True
    try:
        require_live(each, now_s)
    except NotAuthenticated:
        lives = False
    assert lives == (now_s < each.ends_s() and opened_s <= now_s + CLOCK_S)


@pytest.mark.parametrize(
    ("method", "destination", "counts"),
    [("GET", "document", True), ("GET", "", True), ("GET", "empty", False), ("POST", "empty", True)],
)
def test_what_a_script_asks_by_itself_is_no_use(method, destination, counts):
    assert counts_as_use(method, destination) is counts


def test_a_person_is_called_by_the_name_they_have():
    assert PROOF.person == "Anna"
    assert structs.replace(PROOF, name="").person == "anna"
    assert Proof(method="break_glass", subject="", key_id="k").person == "k"


def test_the_longest_unused_ends_when_there_are_too_many():
    own = tuple(session(str(number), seen_s=float(100 - number)) for number in range(MAX_OF_PERSON))
    other = session("other", proof=structs.replace(PROOF, subject="otto"))
    assert beyond_bound((*own[1:], other), session("new")) == ()
    assert [each.id for each in beyond_bound((*own, other), session("new"))] == [own[-1].id]


def test_keys_without_an_owner_are_told_apart():
    one, two = (session(proof=Proof(method="break_glass", subject="", key_id=key)) for key in "ab")
    assert one.owner != two.owner
