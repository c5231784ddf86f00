"""Two persons: which acts, what is signed, and every way in which an approval does not count."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.approval.two_persons import (
    MAX_OPEN,
    VALID_S,
    ActRequest,
    Asking,
    Effect,
    NotApproved,
    demand_approval,
    demand_new_signer,
    demand_open,
    demand_room,
    is_open,
    purpose_of,
    request_text,
)

NOW_S = 1_800_000_000
ASKING = Asking(id="1f", home="70f4", act="holds.lift", asker="anna", asker_id="1000", asked_s=NOW_S)
ARGUMENTS = {"id": "h1", "reason": "closed"}
EFFECTS = (Effect("audit.hold_lifted", "hold:h1", {"from": "", "hits": 3}),)
TEXT = request_text(ASKING, ARGUMENTS, EFFECTS)
REQUEST = ActRequest(asking=ASKING, text=TEXT)
TWO = ("anna", "ben")


@pytest.mark.parametrize(
    ("act", "arguments", "is_for_two"),
    [
        ("holds.lift", {}, True),
        ("holds.set", {}, False),
        ("audit.read_content", {}, True),
        ("audit.name_person", {}, True),
        ("audit.retention", {}, True),
        ("audit.rotate_key", {}, True),
        ("audit.export", {"opened": True}, True),
        ("audit.export", {"opened": False}, False),
        ("audit.export", {}, False),
        ("lockdown", {"lift": True}, True),
        ("lockdown", {"lift": False}, False),
        ("lockdown", {}, False),
        ("keys.create", {}, False),
    ],
)
def test_which_acts_need_two(act, arguments, is_for_two):
    assert bool(purpose_of(act, arguments)) is is_for_two


def test_the_text_says_everything():
    assert TEXT == (
        "corral act 1\n"
        "home 70f4\n"
        "request 1f\n"
        "act holds.lift: lift a legal hold\n"
        'asked by "anna" (user id "1000")\n'
        "asked at 2027-01-15T08:00:00Z\n"
        "ends at 2027-01-16T08:00:00Z\n"
        'with "id": "h1"\n'
        'with "reason": "closed"\n'
        'records audit.hold_lifted of "hold:h1": {"from": ""}\n'
    )


def test_the_approvals_own_id_and_counts_that_grow_are_not_signed():
    assert request_text(ASKING, ARGUMENTS | {"approval": "1f", "hits": 9}, EFFECTS) == TEXT


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=30) | st.booleans() | st.integers(), max_size=4))
def test_other_arguments_are_another_text_of_as_many_lines(arguments):
    given_ones = {name: value for name, value in arguments.items() if name not in ("approval", "hits")}
    text = request_text(ASKING, arguments, ())
    assert text.isascii()
    assert text.count("\n") == 7 + len(given_ones)
    assert (text == request_text(ASKING, {}, ())) is (not given_ones)


@pytest.mark.parametrize("field", ["id", "home", "act", "asker", "asker_id"])
def test_whose_request_it_is_is_part_of_it(field):
    assert request_text(msgspec.structs.replace(ASKING, **{field: "x"}), ARGUMENTS, EFFECTS) != TEXT


def test_it_goes_through():
    assert demand_approval(REQUEST, TEXT, "1000", TWO, NOW_S + 5) is REQUEST
    assert demand_approval(REQUEST, TEXT, "1000", ("ben", "carla", "anna"), NOW_S) is REQUEST


@pytest.mark.parametrize(
    ("request_", "text", "asker_id", "signers", "after_s", "reason"),
    [
        (None, TEXT, "1000", TWO, 0, "approval_unknown"),
        (msgspec.structs.replace(REQUEST, used=True), TEXT, "1000", TWO, 0, "approval_used"),
        (REQUEST, TEXT, "1000", TWO, VALID_S, "approval_ended"),
        (REQUEST, TEXT, "1000", TWO, -1, "approval_ended"),
        (REQUEST, TEXT, "1001", TWO, 0, "approval_of_another"),
        (REQUEST, TEXT.replace("h1", "h2"), "1000", TWO, 0, "approval_differs"),
        (REQUEST, TEXT, "1000", (), 0, "approval_missing"),
        (REQUEST, TEXT, "1000", ("anna",), 0, "approval_missing"),
        (REQUEST, TEXT, "1000", ("anna", "anna"), 0, "approval_missing"),
    ],
)
def test_everything_else_is_refused(request_, text, asker_id, signers, after_s, reason):
    with pytest.raises(NotApproved) as refused:
        demand_approval(request_, text, asker_id, signers, NOW_S + after_s)
    assert refused.value.reason == reason


def test_an_open_request_ends_after_a_day():
    assert demand_open(REQUEST, NOW_S + VALID_S - 1) is REQUEST
    assert is_open(REQUEST, NOW_S)
    assert not is_open(REQUEST, NOW_S + VALID_S)
    assert VALID_S <= 24 * 3600


def test_a_signer_counts_once():
    assert demand_new_signer(("ben",), ("anna",), ()) == "ben"
    for names, before, unfit, reason in [
        (("anna",), ("anna",), (), "signed_twice"),
        ((), (), ("made by a stranger",), "signature_unfit"),
        ((), (), (), "signature_unfit"),
        (("anna", "ben"), (), (), "signature_unfit"),
    ]:
        with pytest.raises(NotApproved) as refused:
            demand_new_signer(names, before, unfit)
        assert refused.value.reason == reason


def test_requests_are_bounded_and_ended_ones_do_not_count():
    open_ones = [REQUEST] * (MAX_OPEN - 1)
    demand_room([*open_ones, msgspec.structs.replace(REQUEST, used=True)], NOW_S)
    with pytest.raises(NotApproved) as refused:
        demand_room([*open_ones, REQUEST], NOW_S)
    assert refused.value.reason == "too_many_requests"
    demand_room([*open_ones, REQUEST], NOW_S + VALID_S)
