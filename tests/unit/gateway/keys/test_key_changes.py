"""How a change is told: what differs, old and new, and hashes that bind both."""

from dataclasses import replace

from gateway.keys.key_changes import audit_change
from policies.credentials.api_key import mint
from policies.credentials.key_record import new_record

KEY = new_record(mint(bytes), {1: b"p" * 32}, 1000.0, team="blue", scopes=frozenset({"models", "inference"}))


def test_a_new_key_is_told_whole():
    change = audit_change(KEY, None, "why", "T-1")
    assert change.object == f"key:{KEY.id}"
    assert change.before_hash == ""
    assert change.details["scopes"] == "inference models"
    assert change.details["created_s"] == 1000.0
    assert not {"digest", "id", "owner", "networks", "revoked_s"} & set(change.details)
    assert (change.reason, change.ticket) == ("why", "T-1")


def test_a_change_tells_what_differs_old_and_new():
    revoked = replace(KEY, revoked_s=2000.0, revoked_by="berta", owner="anna")
    change = audit_change(revoked, KEY, "", "")
    assert change.details == {"revoked_s": 2000.0, "revoked_by": "berta", "owner": "anna"}
    back = audit_change(replace(KEY, owner="berta"), revoked, "", "")
    gone = {"owner_before": "anna", "revoked_s_before": 2000.0, "revoked_by_before": "berta"}
    assert back.details == {"owner": "berta", **gone}
    assert change.after_hash == back.before_hash != back.after_hash


def test_a_use_is_no_change():
    assert audit_change(replace(KEY, last_used_s=5.0, last_ip="203.0.113.9"), KEY, "", "").details == {}
