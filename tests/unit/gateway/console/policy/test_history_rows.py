"""A record of the policy's history as people read it."""

from gateway.console.policy.history_rows import history_row
from policies.audit_record import Actor, Change, Decision, admin_record
from policies.policy import Limits, Policy, Team
from policies.policy_file.policy_diff import diff_details, diff_policies
from tests.fakes import STAMP


def test_a_change_says_who_and_what():
    before = Policy(teams={"lab": Team()})
    after = Policy(teams={"lab": Team(limits=Limits(tokens_per_day=5))})
    details = {
        "signatures": 1,
        **diff_details(diff_policies(before, after), ("team x is removed",)),
        "signers": "ann, bob",
    }
    change = Change(object="policy", before_hash="a" * 64, after_hash="b" * 64, details=details)
    actor = Actor(kind="operator", name="ann", method="ssh_signature")
    row = history_row("c:7", admin_record("policy.changed", STAMP, actor, change, Decision(effect="allow")))
    assert (row.place, row.author, row.method, row.reason) == ("c:7", "ann, bob", "ssh_signature", "")
    assert (row.before, row.after) == ("a" * 64, "b" * 64)
    assert row.lines == ("teams.lab.limits.tokens_per_day: null -> 5",)
    assert row.warnings == ("team x is removed",)
    assert row.unlisted == 0
    assert row.at.endswith("Z")


def test_what_the_record_does_not_list_is_counted():
    before, after = Policy(teams={}), Policy(teams={f"t{number}": Team() for number in range(25)})
    change = Change(object="policy", details=diff_details(diff_policies(before, after), ()))
    row = history_row("c:7", admin_record("policy.changed", STAMP, Actor(), change, Decision(effect="allow")))
    assert len(row.lines) == 20
    assert row.unlisted == 5


def test_a_refusal_says_its_faults():
    change = Change(object="policy", before_hash="a" * 64, details={"faults": 2, "fault_1": "one", "fault_2": "two"})
    decision = Decision(effect="deny", reason="policy_faulty")
    row = history_row("c:8", admin_record("policy.refused", STAMP, Actor(name="author unknown"), change, decision))
    assert (row.reason, row.lines, row.after, row.author) == ("policy_faulty", ("one", "two"), "", "author unknown")


def test_a_record_of_another_shape_is_shown_as_far_as_it_goes():
    row = history_row("c:9", {"change": "?", "ts": 5, "actor": None})
    assert (row.at, row.lines, row.unlisted, row.author) == ("5", (), 0, "")
    assert history_row("c:9", {"change": {"details": {"changes": "many"}}}).unlisted == 0
