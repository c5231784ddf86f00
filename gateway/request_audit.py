"""From an exchange to its audit records, one for each decision.

A decision is told to the caller only after its record is durable; `AuditUnavailable` from here means
that the request is not served. The one exception is a caller who is gone: nobody waits for that
record, so it is written in the background and waited for when the gateway stops.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec import structs

from engine.errors import EngineError
from gateway.exchange import Exchange
from policies.audit_record import (
    Action,
    Actor,
    Decision,
    Entry,
    RequestFacts,
    Result,
    Source,
    Stamp,
    request_record,
    system_record,
)
from policies.audit_record import Effect as DecisionEffect
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


CLIENT_CLOSED_REQUEST = 499
"""What logs call the end of a request whose client left (nginx's number)."""


class Log(Protocol):
    """What is needed of the audit log: `record` returns when the entry is durable."""

    async def record(self, entry: Entry) -> None: ...


class RequestAudit:
    """Makes and submits the records of requests."""

    def __init__(self, log: Log, stamp: Callable[[], Stamp], *, policy_hash: Callable[[], str]) -> None:
        """`policy_hash` answers for what has no request of its own; a request carries the policy it took."""
        self._log = log
        self._stamp = stamp
        self._policy_hash = policy_hash
        self._pending: set[asyncio.Task[None]] = set()

    async def authorized(self, exchange: Exchange) -> None:
        """The request may be queued and run; durable before it is."""
        exchange.authorized = True
        await self._record("request.authorized", exchange, "allow")

    async def completed(self, exchange: Exchange) -> None:
        """The request was served whole; durable before its last bytes are sent."""
        await self._record("request.completed", exchange, "allow", result=_result(exchange))

    async def refused(self, exchange: Exchange, error: Refused | EngineError | None, *, started: bool) -> None:
        """The request was refused, failed, or cut off after its answer had `started`; None is a bug of ours."""
        if isinstance(error, NotAuthenticated | NotAuthorized | LockedDown):
            exchange.shown = Actor(key_id=error.key_id, name=error.actor, issuer=error.issuer)
        if isinstance(error, AddressNotAllowed):
            exchange.rule = error.rule
        event, effect = _event_of(error)
        if started and isinstance(error, Refused) and not _turned_away(exchange):
            event = "request.cut"
        reason = error.reason if error is not None else "bug"
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
        decision = Decision(effect="deny", reason=reason, policy_hash=self._policy_hash())
        facts = RequestFacts(request_id=request_id, source=source)
        self._later(self._log.record(request_record("request.rejected", self._stamp(), facts, decision)))

    def noted_later(self, event: str, details: dict[str, str | int | float | bool]) -> None:
        """Something that a request set off by the way."""
        self._later(self._log.record(system_record(event, self._stamp(), details)))

    async def close(self) -> None:
        """Wait for the records of callers who went away."""
        await asyncio.gather(*self._pending, return_exceptions=True)

    def _later(self, recording: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(recording))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _record(
        self, event: str, exchange: Exchange, effect: DecisionEffect, *, reason: str = "", result: Result | None = None
    ) -> None:
        policy_hash = exchange.in_force.hash if exchange.in_force else self._policy_hash()
        told = " ".join(exchange.would_refuse)
        decision = Decision(
            effect=effect, reason=reason, rule=exchange.rule, policy_hash=policy_hash, would_refuse=told
        )
        await self._log.record(request_record(event, self._stamp(), _facts(exchange), decision, result))


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
    )


def _action(exchange: Exchange) -> Action:
    found = exchange.match.found if exchange.match else None
    return Action(
        verb=exchange.method,
        route=found.route.path if found else "",
        model=exchange.model.name if exchange.model else "",
        model_digest=exchange.model.digest if exchange.model else "",
        base_model=exchange.model.parent if exchange.model else "",
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
    )


def _milliseconds(seconds: float) -> float | None:
    """None for what JSON has no word for."""
    return seconds * 1000 if math.isfinite(seconds) else None
