"""A signed log of October 2026 with something for every section of a report, made of the gateway's own records."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.audit_chain import encode_entry
from policies.audit_record import (
    Action,
    Actor,
    Change,
    Decision,
    RequestFacts,
    Result,
    Stamp,
    admin_record,
    request_record,
    system_record,
)
from policies.auditing.segment_records import as_entry
from tests.signed_chains import SignedChain

PRICES = """currency: EUR
prices:
  prompt_tokens: "0.15"
  output_tokens: "0.60"
  slot_hour: "1.20"
"""
ALLOW = Decision(effect="allow")


def stamp(text: str) -> Stamp:
    """The stamp of a moment of a machine whose clock is sound."""
    unix_s = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    return Stamp(unix_s * 1_000_000, unix_s * 10**9, "boot")


def system(event: str, at: str, **details: Any) -> bytes:
    return encode_entry(as_entry(system_record(event, stamp(at), {}), details))


def act(event: str, at: str, change: Change, name: str = "") -> bytes:
    entry = admin_record(event, stamp(at), Actor(kind="operator", id=name), change, ALLOW)
    entry["actor"]["pseudonym"] = "pann"
    return encode_entry(entry)


def request(event: str, at: str, request_id: str, result: Result | None = None, reason: str = "") -> bytes:
    actor = Actor(kind="key", team="chem", key_id="abc", method="api_key")
    facts = RequestFacts(request_id=request_id, actor=actor, action=Action(model="m:1", model_digest="dd" * 32))
    decision = Decision(effect="deny" if reason else "allow", reason=reason)
    entry = request_record(event, stamp(at), facts, decision, result)
    entry["actor"]["pseudonym"] = "pbob"
    return encode_entry(entry)


def served(at: str, request_id: str) -> tuple[bytes, bytes]:
    result = Result(
        status=200,
        prompt_tokens=1200,
        output_tokens=340,
        finish="stop",
        target="pool:w",
        taken_by="life",
        slot_us=2_500_001,
    )
    return request("request.authorized", at, request_id), request("request.completed", at, request_id, result)


def counted(at: str, taken: int) -> bytes:
    told = {"target": "pool:w", "life": "life", "gateway": "p", "taken": taken, "ended": taken, "open": 0}
    return system("worker.counted", at, **told, prompt_tokens=1200 * taken, output_tokens=340 * taken)


def write_october(home: Path, name: str = "box-0", *, later: bool = True) -> Path:
    """The chain's folder. Without `later` the log ends within the month."""
    chain = SignedChain(home, name)
    key = {"id": "abc", "team": "chem", "owner": "pbob", "scopes": "inference", "created_s": 1.0, "review_s": 2.0}
    chain.add(
        system("gateway.started", "2026-09-30T09:00:00", process="p"),
        system("inventory.keys", "2026-09-30T09:00:01", keys=[key]),
        system(
            "inventory.settings", "2026-09-30T09:00:01", unsafe=["config.yaml: public.unsafe_no_tls"], report_only=[]
        ),
        system("inventory.egress", "2026-09-30T09:00:01", hosts=[{"what": "witness", "host": "https://w:8446"}]),
        system("inventory.models", "2026-09-30T09:00:01", models=[{"name": "m:1", "digest": "dd" * 32, "parent": ""}]),
        system("inventory.clock", "2026-10-01T00:01:00", synchronised=True, max_error_ms=1.5),
        act("model.imported", "2026-09-30T09:01:00", Change(object="model:m:1", after_hash="dd" * 32, ticket="T-1")),
        counted("2026-10-02T00:00:00", 0),
        sign=True,
    )
    chain.add(
        *served("2026-10-10T10:00:00", "r1"),
        *served("2026-10-10T10:00:05", "r2"),
        request("request.limited", "2026-10-10T10:00:06", "r3", reason="rate <b>|"),
        system("key.seen_from", "2026-10-10T10:00:06", key_id="abc", team="chem", address="paddr"),
        act("key.revoked", "2026-10-11T10:00:00", Change(object="key:abc", details={"revoked_s": 1791799200.0})),
        act("audit.exported", "2026-10-12T10:00:00", Change(object="audit:export", details={"opened": True})),
        counted("2026-10-12T11:00:00", 2),
        sign=True,
    )
    if later:
        anchors = [{"name": "witness:w", "off_host": True, "size": chain.writer.tree.size, "fault": ""}]
        chain.add(system("inventory.anchors", "2026-11-01T00:01:00", places=anchors), sign=True)
    chain.close()
    return chain.folder
