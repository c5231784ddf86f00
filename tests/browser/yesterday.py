"""Refusals of the day before, for the log of a house that does not serve yet: the gateway's own records and writer."""

import time

from policies.audit_record import Action, Actor, Decision, Entry, RequestFacts, Result, Source, Stamp, request_record

DAY_S = 86_400
YESTERDAYS_STRANGER = "127.0.0.200"
YESTERDAYS = {"YesterdayOne": "the key's time is over", "YesterdayTwo": "the key was revoked"}
"""Ids of keys, and what a page says of their refusal."""
REASONS = {"YesterdayOne": "expired", "YesterdayTwo": "revoked"}


def refused_yesterday() -> tuple[Entry, ...]:
    """A refusal of each key, a day before now to the second: of yesterday (UTC), and not of the last 24 hours."""
    stamp = Stamp((int(time.time()) - DAY_S) * 1_000_000, time.monotonic_ns(), "yesterday")
    return tuple(_refused(key, stamp) for key in YESTERDAYS)


def _refused(key: str, stamp: Stamp) -> Entry:
    facts = RequestFacts(
        request_id=f"req_{key.lower()}",
        actor=Actor(kind="anonymous", key_id=key),
        source=Source(ip=YESTERDAYS_STRANGER, listener="public"),
        action=Action(verb="POST", route="/api/chat"),
    )
    decision = Decision(effect="deny", reason=REASONS[key])
    return request_record("request.unauthenticated", stamp, facts, decision, Result(status=401))
