"""Records as OCSF events: class API Activity (6003) of schema 1.8.0, with the profile ai_operation for models.

Source: schema.ocsf.io/1.8.0/classes/api_activity. What the class has no place for (an admin act's change, a system
event's details) stands under `unmapped`; `raw_data` is the record's exact line and `raw_data_hash` its SHA-256, which
is what the next record's `prev` says. Attributes that the schema gives no other value are left out when unknown.
"""

import hashlib
from typing import Any

from policies.auditing.exported import PRODUCT, Exported

VERSION = "1.8.0"
CLASS_UID = 6003
SHA_256 = 3
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
SUCCESS, FAILURE, UNKNOWN = 1, 2, 0
ACTIVITIES = {
    "GET": READ, "HEAD": READ, "POST": CREATE, "PUT": UPDATE, "PATCH": UPDATE, "DELETE": DELETE,
    "created": CREATE, "made": CREATE, "registered": CREATE, "imported": CREATE, "query_saved": CREATE,
    "searched": READ, "exported": READ,
    "rotated": UPDATE, "reviewed": UPDATE, "changed": UPDATE, "begun": UPDATE, "lifted": UPDATE,
    "revoked": DELETE, "removed": DELETE, "withdrawn": DELETE, "query_removed": DELETE, "erased": DELETE,
}  # fmt: skip
"""By the method of a request, else by what an event says was done; anything else is OTHER."""
SEVERITIES = {"I": 1, "W": 3, "E": 4}
"""Informational, medium, high; 0 is unknown."""

METHODS = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH")

Event = dict[str, Any]


def event(exported: Exported) -> Event:
    """The event of one record, ready to be written as JSON."""
    activity = _activity(exported)
    effect = exported.text("decision", "effect")
    found: Event = {
        "activity_id": activity,
        "activity_name": exported.text("event") if activity == OTHER else "",
        "category_uid": CLASS_UID // 1000,
        "class_uid": CLASS_UID,
        "type_uid": CLASS_UID * 100 + activity,
        "severity_id": SEVERITIES.get(exported.severity(), 0),
        "time": exported.facts().at_us // 1000,
        "message": exported.text("event"),
        "status_id": SUCCESS if effect == "allow" else FAILURE if effect else UNKNOWN,
        "status_code": exported.text("code"),
        "status_detail": exported.text("decision", "reason"),
        "duration": exported.whole("result", "dur_ms"),
        "metadata": _metadata(exported),
        "actor": _actor(exported, effect),
        "src_endpoint": _source(exported),
        "api": _api(exported),
        "http_request": _http_request(exported),
        "http_response": _http_response(exported),
        "ai_model": _model(exported),
        "message_context": _tokens(exported),
        "raw_data": exported.line,
        "raw_data_hash": {
            "algorithm_id": SHA_256,
            "value": hashlib.sha256(exported.line.encode("utf-8", "surrogatepass")).hexdigest(),
        },
        "unmapped": {name: part for name in ("change", "details", "params") if (part := exported.part(name))},
    }
    return _said(found)


def _activity(exported: Exported) -> int:
    done = exported.text("event").rpartition(".")[2]
    return ACTIVITIES.get(exported.text("action", "verb"), ACTIVITIES.get(done, OTHER))


def _metadata(exported: Exported) -> Event:
    return _said(
        {
            "version": VERSION,
            "product": {"name": PRODUCT, "vendor_name": PRODUCT},
            "profiles": ["ai_operation"] if exported.facts().model else None,
            "uid": exported.place,
            "sequence": exported.seq,
            "log_name": exported.chain,
            "event_code": exported.text("code"),
            "original_time": exported.text("ts"),
            "correlation_uid": exported.text("req_id"),
        }
    )


def _actor(exported: Exported, effect: str) -> Event:
    """Whoever acted; the class demands somebody, so who named nobody is called anonymous, and Corral itself an app."""
    allowed = {"decision": effect, "policy": _policy(exported)} if effect else None
    told = {"authorizations": [_said(allowed)]} if allowed else {}
    kind, facts = exported.text("actor", "kind") or "anonymous", exported.facts()
    if kind == "system":
        return {"app_name": PRODUCT, **told}
    user = {
        "uid": facts.actor,
        "name": exported.name() or ("" if facts.actor else kind),
        "credential_uid": exported.text("actor", "key_id"),
        "groups": [{"name": team}] if (team := exported.text("actor", "team")) else None,
    }
    return {"user": _said(user), **told}


def _policy(exported: Exported) -> Event | None:
    digest = exported.text("decision", "policy_hash")
    return {"uid": digest, "name": "policy.yaml"} if digest else None


def _source(exported: Exported) -> Event:
    """From where; where the address is not known or not to be read, the gateway's own name."""
    address = exported.address()
    return {"ip": address} if address else {"instance_uid": exported.text("instance") or exported.chain}


def _api(exported: Exported) -> Event:
    request, reason = exported.text("req_id"), exported.text("decision", "reason")
    status = exported.whole("result", "status")
    return _said(
        {
            "operation": exported.text("action", "route") or exported.text("event") or "unknown",
            "service": {"name": PRODUCT},
            "request": {"uid": request} if request else None,
            "response": _said({"code": status, "error": reason}) or None,
        }
    )


def _http_request(exported: Exported) -> Event | None:
    route = exported.text("action", "route")
    if not route:
        return None
    verb, length = exported.text("action", "verb"), exported.whole("result", "bytes_in")
    return _said({"http_method": verb if verb in METHODS else "", "url": {"path": route}, "body_length": length})


def _http_response(exported: Exported) -> Event | None:
    status = exported.whole("result", "status")
    return None if status is None else _said({"code": status, "body_length": exported.whole("result", "bytes_out")})


def _model(exported: Exported) -> Event | None:
    name = exported.facts().model
    digest = exported.text("action", "model_digest")
    return _said({"ai_provider": PRODUCT, "name": name, "uid": digest}) if name else None


def _tokens(exported: Exported) -> Event | None:
    prompt, output = exported.whole("result", "prompt_tokens"), exported.whole("result", "output_tokens")
    if prompt is None and output is None:
        return None
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": (prompt or 0) + (output or 0)}
    return _said({"service": {"name": PRODUCT}, **counts})


def _said(part: Event) -> Event:
    """What of a part says something."""
    return {name: value for name, value in part.items() if value is not None and value not in ("", {})}
