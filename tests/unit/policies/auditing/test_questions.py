"""Invariant: each question is answered by what its words say, and no change is taken for a look."""

import pytest

from policies.audit_record import ADMIN_EVENTS, EVENTS
from policies.auditing.questions import CHANGES, QUESTIONS, READ_EVENTS, REFUSALS, answers


def test_every_event_of_a_question_is_one_of_the_log() -> None:
    assert {event for each in QUESTIONS.values() for event in each.events} <= set(EVENTS)


def test_an_admin_event_changes_something_or_is_a_look_or_a_sign_in() -> None:
    rest = set(ADMIN_EVENTS) - CHANGES - READ_EVENTS
    assert CHANGES.isdisjoint(READ_EVENTS)
    assert all(name.startswith("session.") for name in rest)
    assert {"key.created", "policy.changed", "audit.hold_lifted", "person.erased", "grant.made"} <= CHANGES


@pytest.mark.parametrize(
    ("ask", "event", "reason", "fits"),
    [
        ("refused", "request.denied", "model_not_of_team", True),
        ("refused", "request.unauthenticated", "unknown", True),
        ("refused", "request.limited", "", True),
        ("refused", "request.shed", "queue_full", True),
        ("refused", "request.rejected", "", True),
        ("refused", "refusals.sampled", "", True),
        ("refused", "request.completed", "", False),
        ("changes", "key.act_refused", "key_unknown", True),
        ("changes", "audit.searched", "", False),
        ("policy", "policy.refused", "policy_faulty", True),
        ("policy", "key.created", "", False),
        ("old-keys", "key.predecessor_used", "", True),
        ("old-keys", "request.unauthenticated", "expired", True),
        ("old-keys", "request.unauthenticated", "revoked_actor", True),
        ("old-keys", "request.unauthenticated", "unknown", False),
        ("readers", "audit.viewed", "", True),
        ("readers", "request.completed", "", False),
    ],
)
def test_what_answers(ask: str, event: str, reason: str, fits: bool) -> None:
    assert answers(ask, event, reason) is fits


def test_a_word_that_is_no_question_is_a_bug() -> None:
    with pytest.raises(KeyError):
        answers("everything", "", "")


def test_all_refusals_of_requests_are_among_them() -> None:
    assert len([name for name in REFUSALS if name.startswith("request.")]) == 5
