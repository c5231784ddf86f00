"""What the log says of sessions: opened, closed, refused, and that a key was used to come in.

A record is lasting before its session exists or its refusal is told; refusals that come in floods are counted
(`policies.auditing.refusal_sampling`).
"""

from gateway.clock import Clock
from gateway.console.page import Arrival
from gateway.metrics import Metrics
from gateway.request_audit import RequestAudit
from gateway.request_id import new_request_id
from policies.addresses.networks import read_address
from policies.audit_record import Action, Actor, Decision, RequestFacts, Source
from policies.console.session import Proof, Session


class SessionRecords:
    """Writes them through the log of requests."""

    def __init__(self, audit: RequestAudit, metrics: Metrics, clock: Clock) -> None:
        self._audit = audit
        self._metrics = metrics
        self._clock = clock

    async def opened(self, session: Session, arrival: Arrival) -> None:
        """Somebody was let in. Raises AuditUnavailable."""
        facts = self._facts(arrival, _actor(session), f"session:{session.id}")
        events = ["session.opened"]
        if session.proof.method == "break_glass":
            events.append("session.break_glass")
        for event in events:
            await self._audit.session(event, facts, Decision(effect="allow"))
        self._metrics.console_sign_in(session.proof.method, "opened")

    async def refused(self, arrival: Arrival, method: str, reason: str, shown: Actor) -> None:
        """Somebody was not. Raises AuditUnavailable."""
        self._metrics.console_sign_in(method, "refused")
        facts = self._facts(arrival, shown, f"sign_in:{method}")
        decision = Decision(effect="deny", reason=reason)
        await self._audit.session("session.refused", facts, decision, read_address(arrival.client))

    async def closed(self, session: Session, cause: str, by: Actor | None = None, client: str = "") -> None:
        """A session is over: `cause` is a stable code, `by` who ended it where that is another. Raises
        AuditUnavailable.
        """
        facts = RequestFacts(
            request_id=new_request_id(self._clock.unix_ns()),
            actor=by or _actor(session),
            source=Source(ip=client, listener="console"),
            action=Action(resource=f"session:{session.id}"),
        )
        await self._audit.session("session.closed", facts, Decision(effect="allow", reason=cause))

    def _facts(self, arrival: Arrival, actor: Actor, resource: str) -> RequestFacts:
        certificate = arrival.certificate
        return RequestFacts(
            request_id=arrival.request_id,
            actor=actor,
            source=Source(ip=arrival.client, listener="console", cert_sha256=certificate.sha256 if certificate else ""),
            action=Action(verb="POST", route=arrival.path, resource=resource),
        )


def _actor(session: Session) -> Actor:
    return actor_of(session.proof, session.id)


def actor_of(proof: Proof, session: str = "") -> Actor:
    """Whom records name. `corral revoke --actor` takes the same name."""
    by_key = proof.method == "break_glass"
    return Actor(
        kind="key" if by_key else "subject",
        id=session,
        name=proof.subject,
        key_id=proof.key_id,
        issuer=proof.issuer,
        method="api_key" if by_key else proof.method,
        client_id="console",
    )
