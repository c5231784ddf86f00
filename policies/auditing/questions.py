"""The questions that reviewers ask again and again, each under one word, as events and reasons of records.

Decides which records answer a question, and nothing else. Rules:
 (1) A record answers a question when its event or its reason is among the question's.
 (2) `refused` is every refusal, those too that came in a flood and were only counted (`refusals.sampled`).
 (3) `changes` is what somebody did to the gateway, or was refused to do; reading and signing in is no change.
 (4) `old-keys` is a credential used after its time, or a key used while its successor is in use already.
"""

from msgspec import Struct

from policies.audit_record import ADMIN_EVENTS, EVENTS, REQUEST_EVENTS

READ_EVENTS = frozenset({
    "audit.searched", "audit.exported", "audit.query_saved", "audit.query_removed", "audit.viewed", "audit.reviewed",
    "audit.review_refused", "content.read",
})  # fmt: skip
"""Admin events that changed nothing but what somebody has seen, kept for a search or signed."""
SESSIONS = "session."
"""How the events of the console's sign-in begin."""
POLICY_EVENTS = frozenset({"policy.changed", "policy.refused"})
LATE_REASONS = frozenset({
    "expired", "revoked", "not_yet_valid", "certificate_expired", "certificate_revoked", "revoked_token",
    "revoked_actor", "revoked_team",
})  # fmt: skip
"""Of credentials: policies/credentials and policies/certificates."""


class Question(Struct, frozen=True):
    """What a record must be to answer: one of the events, or of one of the reasons."""

    events: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()


CHANGES = frozenset(name for name in ADMIN_EVENTS if name not in READ_EVENTS and not name.startswith(SESSIONS))
REFUSALS = frozenset(name for name, (stage, _) in REQUEST_EVENTS.items() if stage == "denied")

QUESTIONS: dict[str, Question] = {
    "refused": Question(REFUSALS | {"refusals.sampled"}),
    "changes": Question(CHANGES),
    "policy": Question(POLICY_EVENTS),
    "old-keys": Question(frozenset({"key.predecessor_used"}), LATE_REASONS),
    "readers": Question(READ_EVENTS),
    "sessions": Question(frozenset(name for name in EVENTS if name.startswith(SESSIONS))),
}


def answers(ask: str, event: str, reason: str) -> bool:
    """Whether a record of this event and reason answers the question. Raises KeyError for a word that is none."""
    question = QUESTIONS[ask]
    return event in question.events or reason in question.reasons
