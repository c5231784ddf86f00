"""What an audit record says: typed parts in, a plain dict for `audit_chain` out.

Decides what may be in the log, and nothing else: when a record is written is the request flow's
business, how it is chained and stored that of `audit_chain` and gateway/audit/audit_log.py.

Rules:
 (1) No prompt, answer, header, key or other free text of a client. The few names that a client chooses
     (method, model, server name) are capped and escaped to printable ASCII; whatever looks like one of
     our keys is masked, since people paste keys into the wrong field.
 (2) Every event has its own code; success and failure never share one. An event not in `EVENTS` is a bug.
 (3) `params` are numbers from an allowlist; anything else is left out.
 (4) Absent parts are left out, so a field that is there was known.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct, structs

from policies.credentials.api_key import mask_api_keys

Stage = Literal["authorized", "completed", "denied", "aborted", "admin", "system"]
Effect = Literal["allow", "deny", "limit", "shed", "error"]
Entry = dict[str, Any]

REQUEST_EVENTS: dict[str, tuple[Stage, str]] = {
    "request.authorized": ("authorized", "C1000I"),
    "request.completed": ("completed", "C1001I"),
    "request.failed": ("completed", "C1001E"),
    "request.denied": ("denied", "C1002W"),
    "request.unauthenticated": ("denied", "C1003W"),
    "request.limited": ("denied", "C1004W"),
    "request.shed": ("denied", "C1005W"),
    "request.rejected": ("denied", "C1006W"),
    "request.aborted": ("aborted", "C1007W"),
    "request.cut": ("aborted", "C1008W"),
    "session.opened": ("admin", "C3300I"),
    "session.closed": ("admin", "C3301I"),
    "session.break_glass": ("admin", "C3302W"),
    "session.refused": ("denied", "C3303W"),
}
ADMIN_EVENTS: dict[str, tuple[Stage, str]] = {
    "home.made": ("admin", "C2000I"),
    "key.created": ("admin", "C2001I"),
    "key.rotated": ("admin", "C2002I"),
    "key.revoked": ("admin", "C2003I"),
    "key.reviewed": ("admin", "C2005I"),
    "key.act_refused": ("admin", "C2004W"),
    "public_key.registered": ("admin", "C2006I"),
    "public_key.revoked": ("admin", "C2007I"),
    "model.imported": ("admin", "C2020I"),
    "model.removed": ("admin", "C2021I"),
    "model.act_refused": ("admin", "C2022W"),
    "team.revoked": ("admin", "C2040I"),
    "actor.revoked": ("admin", "C2041I"),
    "token.revoked": ("admin", "C2042I"),
    "revocation.act_refused": ("admin", "C2043W"),
    "lockdown.begun": ("admin", "C2044I"),
    "lockdown.lifted": ("admin", "C2045I"),
    "lockdown.act_refused": ("admin", "C2046W"),
    "grant.made": ("admin", "C2050I"),
    "grant.withdrawn": ("admin", "C2051I"),
    "grant.act_refused": ("admin", "C2052W"),
    "audit.hold_set": ("admin", "C3103I"),
    "audit.hold_lifted": ("admin", "C3104I"),
    "audit.hold_refused": ("admin", "C3104W"),
    "policy.changed": ("admin", "C2030I"),
    "policy.refused": ("admin", "C2031W"),
    "content.read": ("admin", "C2060I"),
    "person.erased": ("admin", "C3150I"),
    "content.erased": ("admin", "C3151I"),
    "erasure.act_refused": ("admin", "C3152W"),
    "audit.searched": ("admin", "C3140I"),
    "audit.exported": ("admin", "C3141I"),
    "audit.query_saved": ("admin", "C3142I"),
    "audit.query_removed": ("admin", "C3143I"),
    "audit.viewed": ("admin", "C3304I"),
    "audit.reviewed": ("admin", "C3305I"),
    "audit.review_refused": ("admin", "C3305W"),
    "audit.reported": ("admin", "C3320I"),
    "audit.hashed": ("admin", "C3144I"),
    "act.asked": ("admin", "C3340I"),
    "act.refused": ("admin", "C3340W"),
    "act.approved": ("admin", "C3341I"),
    "person.named": ("admin", "C3343I"),
    "retention.shortened": ("admin", "C3344I"),
    "audit_key.change_ordered": ("admin", "C3350I"),
    "chain.retired": ("admin", "C3351I"),
}
SYSTEM_EVENTS: dict[str, tuple[Stage, str]] = {
    "gateway.started": ("system", "C3000I"),
    "gateway.draining": ("system", "C3001I"),
    "gateway.stopped": ("system", "C3002I"),
    "audit.recovered": ("system", "C3010W"),
    "audit.resumed": ("system", "C3011W"),
    "target.ready": ("system", "C3020I"),
    "target.lost": ("system", "C3020W"),
    "worker.died": ("system", "C3021W"),
    "requests.suspected": ("system", "C3022W"),
    "request.kills_worker": ("system", "C3023W"),
    "caller.kills_workers": ("system", "C3024W"),
    "first_key.deleted": ("system", "C3030I"),
    "key.expiring": ("system", "C3031W"),
    "key.predecessor_used": ("system", "C3032W"),
    "grant.ended": ("system", "C3033I"),
    "issuer.keys_lost": ("system", "C3050W"),
    "issuer.keys_back": ("system", "C3050I"),
    "backdoor.open": ("system", "C3060W"),
    "backdoor.closed": ("system", "C3060I"),
    "limits.degraded": ("system", "C3070W"),
    "limits.restored": ("system", "C3070I"),
    "scheduler.degraded": ("system", "C3071W"),
    "scheduler.restored": ("system", "C3071I"),
    "segment.opened": ("system", "C3100I"),
    "segment.sealed": ("system", "C3101I"),
    "audit.pruned": ("system", "C3102I"),
    "refusals.sampled": ("system", "C3130I"),
    "disk.low": ("system", "C3160W"),
    "disk.full": ("system", "C3161W"),
    "disk.back": ("system", "C3161I"),
    "chain.seen": ("system", "C3110I"),
    "chain.missed": ("system", "C3110W"),
    "anchor.failed": ("system", "C3111W"),
    "anchor.back": ("system", "C3111I"),
    "anchor.overdue": ("system", "C3112W"),
    "worker.counted": ("system", "C3120I"),
    "content.expired": ("system", "C3153I"),
    "tls.reloaded": ("system", "C3040I"),
    "tls.reload_failed": ("system", "C3040W"),
    "tls.expiring": ("system", "C3041W"),
    "inventory.keys": ("system", "C3321I"),
    "inventory.settings": ("system", "C3322I"),
    "inventory.egress": ("system", "C3323I"),
    "inventory.models": ("system", "C3324I"),
    "inventory.clock": ("system", "C3325I"),
    "inventory.anchors": ("system", "C3326I"),
    "key.seen_from": ("system", "C3327I"),
    "act.expired": ("system", "C3342I"),
    "retention.waits": ("system", "C3344W"),
    "audit_key.rotated": ("system", "C3350W"),
    "chain.resumed": ("system", "C3352I"),
}
EVENTS = REQUEST_EVENTS | ADMIN_EVENTS | SYSTEM_EVENTS
"""Event -> its stage and code. Codes end in I (went well), W (refused, cut off, worth a look) or E (our fault)."""

# fmt: off
PARAMS = frozenset({
    "stream", "max_output_tokens", "deadline_s", "temperature", "top_k", "top_p", "min_p", "typical_p",
    "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed", "top_logprobs",
    "dimensions", "messages", "images", "tools", "inputs", "stops",
})
# fmt: on
"""Numbers about a call that say nothing of its content; for lists (messages, stops) their length."""
MAX_NAME = 128
MAX_REMARK = 512
MAX_DETAILS = 32


class Stamp(Struct, frozen=True):
    """When: Unix microseconds, and the monotonic clock with its boot, as evidence of a moved wall clock."""

    unix_us: int
    mono_ns: int
    boot_id: str


class Actor(Struct, frozen=True, kw_only=True):
    """Who. `kind`: anonymous, key, subject (of a JWT or a certificate), operator (at the command line) or system.

    `method` is how it was proven, `issuer` who vouched for a subject, `client_id` the program that a token was given.
    """

    kind: Literal["anonymous", "key", "subject", "operator", "system"] = "anonymous"
    id: str = ""
    name: str = ""
    team: str = ""
    key_id: str = ""
    issuer: str = ""
    method: str = ""
    client_id: str = ""


class Source(Struct, frozen=True, kw_only=True):
    """From where: the client's address, the connection's other end, and what TLS settled.

    `via` is the proxy whose PROXY header named the other end. `cert_sha256` is the digest of the client certificate.
    """

    ip: str = ""
    peer: str = ""
    via: str = ""
    listener: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    sni: str = ""
    cert_sha256: str = ""


class Action(Struct, frozen=True, kw_only=True):
    """What: the HTTP method, the route's template (never the raw path), and the model with its digest.

    `base_model` is the model that an adapter, then named as the model, runs on. `resource` is the thing acted on, as
    `kind:name`.
    """

    verb: str = ""
    route: str = ""
    model: str = ""
    model_digest: str = ""
    base_model: str = ""
    resource: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """What was decided, the stable code of the reason, and the SHA-256 of the policy it was decided by.

    `rule` is the policy's own words where a list decided, such as "deny 192.0.2.0/24". `would_refuse` holds the
    codes, parted by blanks, of limits that only report.
    """

    effect: Effect
    reason: str = ""
    rule: str = ""
    policy_hash: str = ""
    would_refuse: str = ""


class Result(Struct, frozen=True, kw_only=True):
    """How it ended. Milliseconds, bytes and counts; `target` is the worker or upstream that served it.

    `admission` is the queue's decision: admitted (a slot at once), queued, refused (at once) or refused_late (after a
    wait). `predicted_wait_ms` is the wait it expected when it was asked, `queued_ms` the wait there was, both exact;
    `retry_after_s` the time to come back that a refusal was told. `taken_by` is the life of the worker that took it, or
    `upstream` for one that began to answer; what nobody took has none. `slot_us` is how long it held its slot, in
    microseconds: whole numbers, so that sums of them are exact.
    """

    status: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    admission: str = ""
    predicted_wait_ms: float | None = None
    queued_ms: float | None = None
    retry_after_s: float | None = None
    ttft_ms: float | None = None
    dur_ms: float | None = None
    finish: str = ""
    target: str = ""
    taken_by: str = ""
    slot_us: int | None = None


class Change(Struct, frozen=True, kw_only=True):
    """What an admin act changed. `details` are names and numbers of ours; `reason`, `ticket` the operator's words."""

    object: str
    before_hash: str = ""
    after_hash: str = ""
    details: Mapping[str, str | int | float | bool] = {}
    reason: str = ""
    ticket: str = ""


class Content(Struct, frozen=True, kw_only=True):
    """What was kept of prompt and answer, by `policies.auditing.content_policy`: digests, and the place of the text.

    `lost` is why a text that should have been kept was not, for a request that had failed or was answered by then.
    """

    policy: str = ""
    req_digest: str = ""
    context_digest: str = ""
    resp_digest: str = ""
    blob_ref: str = ""
    lost: str = ""


class RequestFacts(Struct, frozen=True, kw_only=True):
    """What is known of a request when its record is made; the later steps' parts stay at their defaults."""

    request_id: str
    source: Source = Source()
    action: Action = Action()
    actor: Actor = Actor()
    params: Mapping[str, int | float | bool | None] = {}
    trace_id: str = ""


def request_record(
    event: str, stamp: Stamp, facts: RequestFacts, decision: Decision, result: Result | None = None
) -> Entry:
    """The record of one decision about a request. `event` is one of `REQUEST_EVENTS`, else KeyError."""
    stage, code = REQUEST_EVENTS[event]
    return _head(stamp, event, code, stage) | _present(
        req_id=clean(facts.request_id),
        actor=_part(facts.actor),
        src=_part(facts.source),
        action=_part(facts.action),
        decision=_part(decision),
        params=allowed_params(facts.params),
        result=_part(result) if result else {},
        trace_id=clean(facts.trace_id),
    )


def with_content(entry: Entry, content: Content) -> Entry:
    """A request's record that also says what was kept of its content."""
    return entry | _present(content=_part(content))


def admin_record(event: str, stamp: Stamp, actor: Actor, change: Change, decision: Decision) -> Entry:
    """The record of an act on keys or models. `event` is one of `ADMIN_EVENTS`, else KeyError."""
    stage, code = ADMIN_EVENTS[event]
    return _head(stamp, event, code, stage) | _present(
        actor=_part(actor), decision=_part(decision), change=_part(change)
    )


def system_record(event: str, stamp: Stamp, details: Mapping[str, str | int | float | bool]) -> Entry:
    """The record of something that happened by itself. `event` is one of `SYSTEM_EVENTS`, else KeyError."""
    stage, code = SYSTEM_EVENTS[event]
    actor = _part(Actor(kind="system"))
    return _head(stamp, event, code, stage) | _present(actor=actor, details=_details(details))


def clean(text: str, limit: int = MAX_NAME) -> str:
    """`text` as printable ASCII without anything that looks like our keys, at most `limit` characters.

    Control characters, terminal escapes and direction marks become backslash escapes (CWE-117), a lone
    surrogate too; a cut is marked by three dots.
    """
    escaped = mask_api_keys(text[: 4 * limit]).encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def allowed_params(params: Mapping[str, int | float | bool | None]) -> dict[str, int | float | bool]:
    """The finite numbers of `params` that the allowlist names, in the range of a signed 64-bit integer."""
    return {name: value for name, value in params.items() if name in PARAMS and value is not None and _is_sane(value)}


def _is_sane(value: Any) -> bool:
    """Also False for infinity and not-a-number, which JSON has no word for."""
    return isinstance(value, int | float) and abs(value) < 2**63


def _head(stamp: Stamp, event: str, code: str, stage: Stage) -> Entry:
    at = datetime.fromtimestamp(stamp.unix_us // 1_000_000, UTC).replace(microsecond=stamp.unix_us % 1_000_000)
    return {
        "ts": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "mono_ns": stamp.mono_ns,
        "boot_id": clean(stamp.boot_id, 64),
        "event": event,
        "code": code,
        "stage": stage,
    }


def _present(**parts: Any) -> Entry:
    return {name: part for name, part in parts.items() if part}


def _part(part: Actor | Source | Action | Decision | Result | Change | Content) -> Entry:
    """The fields of a part that say something, every text cleaned."""
    return {name: _value(name, value) for name, value in structs.asdict(part).items() if value not in ("", None, {})}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, MAX_REMARK if name in ("reason", "ticket", "would_refuse") else MAX_NAME)
    return _details(value) if isinstance(value, Mapping) else value


def _details(details: Mapping[str, str | int | float | bool]) -> Entry:
    kept = list(details.items())[:MAX_DETAILS]
    return {clean(name, 64): clean(value, MAX_REMARK) if isinstance(value, str) else value for name, value in kept}
