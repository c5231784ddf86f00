"""Invariant: every admin record of the period is an act or a reading, and no name or ticket is told."""

from policies.auditing.report_acts import Acts
from tests.report_lines import AFTER, BEFORE, IN, LATER, OCTOBER, act


def test_an_act_with_ticket_and_second_person() -> None:
    acts = Acts(OCTOBER)
    change = {"object": "policy", "reason": "enc:1:a:b", "ticket": "enc:1:a:c", "details": {"signatures": 2}}
    acts.took("box-1", act("policy.changed", LATER, change=change, who="pann pbob"))
    acts.took("box-0", act("actor.revoked", IN, change={"object": "actor:enc:1:a:b"}, who=""))
    acts.took("box-0", act("actor.revoked", BEFORE, change={"object": "actor:enc:1:a:b"}))
    first, second = acts.told()["privileged_acts"]
    assert (first["object"], first["by"], first["ticket"], first["second_person"]) == (
        "actor:(sealed)", "(nobody named)", False, "",
    )  # fmt: skip
    assert (second["by"], second["second_person"], second["reason"], second["ticket"]) == ("pann", "pbob", True, True)
    assert "enc:" not in str(acts.told())
    assert acts.told()["privileged_acts_in_all"] == 2


def test_who_approved_and_who_acted_alone() -> None:
    acts = Acts(OCTOBER)
    for signer in ("pann", "pbob"):
        acts.took(
            "box-0", act("act.approved", change={"object": "act:holds.lift", "details": {"request": "r1"}}, who=signer)
        )
    lifted = {"object": "hold:1", "details": {"approval": "r1", "signers": "enc:1:a:b"}}
    acts.took("box-0", act("audit.hold_lifted", LATER, change=lifted))
    acts.took("box-0", act("lockdown.lifted", LATER, change={"object": "all", "details": {"two_persons": "alone"}}))
    rows = {row["event"]: row["second_person"] for row in acts.told()["privileged_acts"]}
    assert rows["audit.hold_lifted"] == "2 signers of request r1"
    assert rows["lockdown.lifted"] == "one person alone"


def test_readers_of_the_log() -> None:
    acts = Acts(OCTOBER)
    for details in ({"opened": True}, {"opened": False}, {"opened": False}):
        acts.took("box-0", act("audit.exported", change={"object": "audit:export", "details": details}))
    acts.took("box-0", act("content.read", change={"object": "request:1"}))
    assert acts.told()["log_readers"] == [
        {"who": "pann", "event": "audit.exported", "opened": False, "count": 2},
        {"who": "pann", "event": "audit.exported", "opened": True, "count": 1},
        {"who": "pann", "event": "content.read", "opened": True, "count": 1},
    ]
    assert acts.told()["privileged_acts"] == []


def grant(name: str, ts: str, until_s: float | str, event: str = "grant.made") -> None:
    details = {"team": "chem", "limit": "requests_per_minute", "value": 5, "until_s": until_s}
    return act(event, ts, change={"object": f"grant:{name}", "details": details})


def test_grants_in_force() -> None:
    acts = Acts(OCTOBER)
    acts.took("box-0", grant("old", BEFORE, OCTOBER.since_s - 1))
    acts.took("box-0", grant("held", BEFORE, OCTOBER.since_s + 1))
    acts.took("box-0", grant("withdrawn", BEFORE, OCTOBER.until_s))
    acts.took("box-0", grant("withdrawn", BEFORE, OCTOBER.until_s, "grant.withdrawn"))
    acts.took("box-0", grant("unmade", IN, OCTOBER.until_s, "grant.withdrawn"))
    acts.took("box-0", grant("endless", IN, "x"))
    found = {row["grant"]: row for row in acts.told()["grants"]}
    assert sorted(found) == ["endless", "held", "unmade"]
    assert (found["held"]["by"], found["held"]["value"], found["unmade"]["made"]) == ("pann", "5", "")


def test_the_newest_import_approves() -> None:
    acts = Acts(OCTOBER)
    for ts, who, effect in ((IN, "pbob", "allow"), (BEFORE, "pann", "allow"), (LATER, "peve", "error")):
        change = {"object": "model:m:1", "after_hash": "ab", "ticket": "x"}
        acts.took("box-0", act("model.imported", ts, change=change, who=who, decision={"effect": effect}))
    assert acts.approver("ab") == {"approved_by": "pbob", "approved_at": IN, "approved_with_ticket": True}
    assert acts.approver("cd")["approved_by"] == ""


def test_more_acts_than_are_listed() -> None:
    acts = Acts(OCTOBER, most_rows=2)
    for _ in range(3):
        acts.took("box-0", act("key.created", change={"object": "key:1"}))
    acts.took("box-0", act("key.created", AFTER, change={"object": "key:1"}))
    assert (len(acts.told()["privileged_acts"]), acts.told()["privileged_acts_in_all"]) == (2, 3)
