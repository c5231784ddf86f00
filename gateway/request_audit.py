"""From an exchange to its audit records, one for each decision.

A decision is told to the caller only after its record is durable; `AuditUnavailable` from here means
that the request is not served. The exceptions: a caller who is gone: nobody waits for that record, so it is written
in the background and waited for when the gateway stops; refusals that come in floods, which are counted
(policies/auditing/refusal_sampling.py); and the end of a served request where `audit.durability` is `standard`.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec import structs

from engine.errors import EngineError
from gateway.audit.content_keeper import Capture, ContentKeeper
from gateway.audit.recording import Recording
from gateway.exchange import Exchange
from policies.addresses.networks import Address, read_address
from policies.audit_record import (
    REQUEST_EVENTS,
    Action,
    Actor,
    Content,
    Decision,
    Entry,
    RequestFacts,
    Result,
    Source,
    Stamp,
    request_record,
    system_record,
    with_content,
)
from policies.audit_record import Effect as DecisionEffect
from policies.auditing.refusal_sampling import RefusalSampling, network_of
from policies.call import Call
from policies.errors import (
    AddressNotAllowed,
    AuditUnavailable,
    BeyondLimit,
    EdgeRejected,
    LockedDown,
    NoCapacity,
    NotAuthenticated,
    NotAuthorized,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    Refused,
)
from policies.policy import TeamAudit

ERROR_EVENTS: tuple[tuple[type[Exception], str, DecisionEffect], ...] = (
    (NotAuthenticated, "request.unauthenticated", "deny"),
    (RateLimited, "request.limited", "limit"),
    (BeyondLimit, "request.limited", "limit"),
    (QuotaExceeded, "request.limited", "limit"),
    (Overloaded, "request.shed", "shed"),
    (NoCapacity, "request.shed", "shed"),
    (EdgeRejected, "request.rejected", "deny"),
    (Refused, "request.denied", "deny"),
    (EngineError, "request.failed", "error"),
)
"""Error -> event and effect; the first row that fits decides."""


SAMPLED_EVENTS = frozenset(event for event, (stage, _) in REQUEST_EVENTS.items() if stage == "denied")
"""Whatever is refused before it was authorized may come in floods."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""RFC 9110 and RFC 5789; any other word in its place is the client's own, which may be a secret in the wrong field."""
OTHER_METHOD = "other"
CLIENT_CLOSED_REQUEST = 499
"""What logs call the end of a request whose client left (nginx's number)."""


class Log(Protocol):
    """What is needed of the audit log: `record` returns when the entry is durable."""

    async def record(self, entry: Entry) -> None: ...

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        """The entry takes its place in the log now; the future is done when it is durable."""
        ...


class RequestAudit:
    """Makes and submits the records of requests."""

    def __init__(
        self,
        log: Log,
        stamp: Callable[[], Stamp],
        *,
        policy_hash: Callable[[], str],
        keeper: ContentKeeper | None = None,
        sampling: RefusalSampling | None = None,
        may_answer_early: Callable[[], bool] = lambda: False,
    ) -> None:
        """`policy_hash` answers for what has no request of its own; a request carries the policy it took.

        `keeper` digests and keeps prompts and answers by their teams' policies; without one nothing is said of them.
        `sampling` says which refusals are counted only; without it none is. While `may_answer_early`, the end of a
        served request is not waited for.
        """
        self._sampling = sampling
        self._may_answer_early = may_answer_early
        self._log = log
        self._keeper = keeper
        self._stamp = stamp
        self._policy_hash = policy_hash
        self._pending: set[asyncio.Task[None]] = set()

    def follow_content(self, exchange: Exchange, call: Call, team: str, policy: TeamAudit) -> None:
        """Digest, or keep, the content of this exchange from now on."""
        if self._keeper is not None:
            exchange.capture = self._keeper.begin(call, team, policy)

    def authorizing(self, exchange: Exchange) -> Recording:
        """The request may be queued; to be awaited before it is run, or anything is told of it."""
        exchange.authorized = True
        exchange.recording = Recording(self._started(self._record("request.authorized", exchange, "allow")))
        return exchange.recording

    async def completed(self, exchange: Exchange) -> None:
        """The request was served whole; durable before its last bytes are sent, or soon after where that is allowed."""
        ending = self._record("request.completed", exchange, "allow", result=_result(exchange))
        if not self._may_answer_early():
            return await ending
        Recording(self._started(ending))
        return None

    async def refused(self, exchange: Exchange, error: Refused | EngineError | None, *, started: bool) -> None:
        """The request was refused, failed, or cut off after its answer had `started`; None is a bug of ours."""
        if isinstance(error, NotAuthenticated | NotAuthorized | LockedDown):
            exchange.shown = Actor(key_id=error.key_id, name=error.actor, issuer=error.issuer, team=error.team)
        if isinstance(error, AddressNotAllowed):
            exchange.rule = error.rule
        event, effect = _event_of(error)
        exchange.refused_for = reason = error.reason if error is not None else "bug"
        if started and isinstance(error, Refused) and not _turned_away(exchange):
            event = "request.cut"
        if event in SAMPLED_EVENTS and not exchange.authorized and not self._takes(reason, exchange.client):
            return
        result = structs.replace(_result(exchange), retry_after_s=_retry_after_s(error))
        await self._record(event, exchange, effect, reason=reason, result=result)

    def aborted_later(self, exchange: Exchange) -> None:
        """The caller went away. Written in the background: there is nobody left to tell."""
        exchange.status = CLIENT_CLOSED_REQUEST
        effect: DecisionEffect = "allow" if exchange.authorized else "error"
        result = _result(exchange)
        self._later(self._record("request.aborted", exchange, effect, reason="client_gone", result=result))

    def rejected_later(self, source: Source, reason: str, request_id: str) -> None:
        """The parser refused a message before there was a request; its fixed answer is on its way."""
        if not self._takes(reason, _address(source.peer)):
            return
        decision = Decision(effect="deny", reason=reason, policy_hash=self._policy_hash())
        facts = RequestFacts(request_id=request_id, source=source)
        self._later(self._log.record(request_record("request.rejected", self._stamp(), facts, decision)))

    async def session(self, event: str, facts: RequestFacts, decision: Decision, client: Address | None = None) -> None:
        """What became of a sign-in, or of a session; a refusal may be counted only. Raises AuditUnavailable."""
        if event in SAMPLED_EVENTS and not self._takes(decision.reason, client):
            return
        decided = structs.replace(decision, policy_hash=self._policy_hash())
        await self._log.record(request_record(event, self._stamp(), facts, decided))

    def noted_later(self, event: str, details: dict[str, str | int | float | bool]) -> None:
        """Something that a request set off by the way."""
        self._later(self._log.record(system_record(event, self._stamp(), details)))

    async def close(self) -> None:
        """Wait for the records of callers who went away."""
        await asyncio.gather(*self._pending, return_exceptions=True)

    def _later(self, recording: Coroutine[Any, Any, None]) -> None:
        self._started(_quietly(recording))

    def _started(self, recording: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """On its way whatever becomes of its caller, and waited for at the end."""
        task = asyncio.get_running_loop().create_task(recording)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    def _takes(self, reason: str, client: Address | None) -> bool:
        """Whether a refusal has a record of its own; if not it is counted."""
        sampling = self._sampling
        return sampling is None or sampling.takes(reason, network_of(client), self._stamp().unix_us / 1e6)

    async def _record(
        self, event: str, exchange: Exchange, effect: DecisionEffect, *, reason: str = "", result: Result | None = None
    ) -> None:
        begins = event == "request.authorized"
        if not begins and exchange.recording is not None:
            await exchange.recording.settled()  # the end of a request never stands before its beginning
        policy_hash = exchange.in_force.hash if exchange.in_force else self._policy_hash()
        told = " ".join(exchange.would_refuse)
        decision = Decision(
            effect=effect, reason=reason, rule=exchange.rule, policy_hash=policy_hash, would_refuse=told
        )
        stamp = self._stamp()
        entry = request_record(event, stamp, _facts(exchange), decision, result)
        if self._keeper is not None and exchange.capture is not None:
            content = await self._content(exchange, exchange.capture, entry, stamp.unix_us / 1e6)
            entry = with_content(entry, content)
        await self._log.submit(entry, needed=exchange.authorized and not begins)

    async def _content(self, exchange: Exchange, capture: Capture, entry: Entry, at_s: float) -> Content:
        """What the record says of the content. The text of what never ran is not kept, so that a flood fills no disk.

        Raises AuditUnavailable for a request that would be answered whole; any other, and one that has been answered
        by now, is recorded with the loss.
        """
        if entry["stage"] == "authorized":
            return await capture.digest_prompt()
        if self._keeper is None or not exchange.target:
            return capture.answered()
        try:
            return await self._keeper.keep(capture, entry, at_s)
        except AuditUnavailable as fault:
            if entry["event"] == "request.completed" and not self._may_answer_early():
                raise
            return structs.replace(capture.answered(), lost=fault.reason)


def _address(text: str) -> Address | None:
    try:
        return read_address(text)
    except ValueError:
        return None


async def _quietly(recording: Coroutine[Any, Any, None]) -> None:
    """The log says itself that it cannot be written, and nothing more is served until it can."""
    with contextlib.suppress(AuditUnavailable):
        await recording


def _event_of(error: Refused | EngineError | None) -> tuple[str, DecisionEffect]:
    for kind, event, effect in ERROR_EVENTS:
        if isinstance(error, kind):
            return event, effect
    return "request.failed", "error"


def _turned_away(exchange: Exchange) -> bool:
    """True for a refusal by the queue, also when its caller was told in the events of a wait that had begun."""
    return exchange.admission in ("refused", "refused_late")


def _retry_after_s(error: Refused | EngineError | None) -> float | None:
    """The time to come back that the caller is told, where the queue or a limit knows one."""
    if isinstance(error, RateLimited | QuotaExceeded | Overloaded | NoCapacity):
        return error.retry_after_s
    return None


def _facts(exchange: Exchange) -> RequestFacts:
    tls = exchange.tls
    return RequestFacts(
        request_id=exchange.id,
        actor=_actor(exchange),
        source=Source(
            ip=str(exchange.client or ""),
            peer=exchange.peer,
            via=exchange.via,
            listener=exchange.listener,
            tls_version=tls.version if tls else "",
            tls_cipher=tls.cipher if tls else "",
            sni=tls.server_name if tls else "",
            cert_sha256=tls.client_certificate.sha256 if tls and tls.client_certificate else "",
        ),
        action=_action(exchange),
        params=exchange.params,
        trace_id=exchange.trace_id,
    )


def _actor(exchange: Exchange) -> Actor:
    principal = exchange.principal
    if principal is None:
        return exchange.shown
    return Actor(
        kind="key" if principal.key_id else "subject",
        name=principal.actor,
        team=principal.team,
        key_id=principal.key_id,
        issuer=principal.issuer,
        method=principal.kind,
        client_id=principal.client_id,
    )


def _action(exchange: Exchange) -> Action:
    found = exchange.match.found if exchange.match else None
    return Action(
        verb=exchange.method if exchange.method in METHODS else OTHER_METHOD,
        route=found.route.path if found else "",
        model=exchange.model.name if exchange.model else "",
        model_digest=exchange.model.digest if exchange.model else "",
        base_model=exchange.model.parent if exchange.model else "",
        resource=f"model:{exchange.model.name}" if exchange.model else "",
    )


def _result(exchange: Exchange) -> Result:
    usage = exchange.usage
    ran = bool(exchange.target)
    return Result(
        status=exchange.status,
        bytes_in=exchange.bytes_in,
        bytes_out=exchange.bytes_out,
        prompt_tokens=usage.prompt_tokens if ran else None,
        cached_tokens=usage.cached_tokens if ran else None,
        output_tokens=usage.output_tokens if ran else None,
        admission=exchange.admission or "",
        predicted_wait_ms=_milliseconds(exchange.forecast.wait_s) if exchange.forecast else None,
        queued_ms=exchange.queued_ns / 1e6 if exchange.queued_ns is not None else None,
        ttft_ms=exchange.first_event_ns / 1e6 if exchange.first_event_ns else None,
        dur_ms=exchange.elapsed_ns() / 1e6,
        finish=exchange.finish,
        target=exchange.target,
        taken_by=exchange.taken_by(),
        slot_us=round(exchange.slot_s() * 1e6) if ran else None,
    )


def _milliseconds(seconds: float) -> float | None:
    """None for what JSON has no word for."""
    return seconds * 1000 if math.isfinite(seconds) else None
