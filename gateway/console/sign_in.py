"""How a session begins and ends: the proof judged by the policy in force, recorded, stored, and then the cookie made.

Whoever proves somebody (a key, a certificate, an identity provider) calls `open`, and only that. What each way of
signing in adds to the common pages (its link, where to go at the sign-out, whom a form may be sent to) it adds to the
lists here when the console is composed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.console.page import Arrival
from gateway.console.session_records import SessionRecords, actor_of
from gateway.console.sessions import Sessions
from policies.audit_record import Actor
from policies.console.session import Proof, Session
from policies.errors import Refused


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to sign in: the path that its button posts to, and the key of its words."""

    path: str
    word_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """See the head of the module. `require` raises Refused for whom the policy in force does not let in.

    `leaving` answers where the browser goes after a session, "" for the sign-in page; `form_targets` are origins beside
    ours that a form may end at.
    """

    sessions: Sessions
    records: SessionRecords
    require: Callable[[Proof, Arrival], object]
    offers: list[Offer] = field(default_factory=list)
    leaving: list[Callable[[Session], str]] = field(default_factory=list)
    form_targets: list[str] = field(default_factory=list)

    async def open(self, proof: Proof, arrival: Arrival) -> str:
        """A new session of whom `proof` names; answers the whole Set-Cookie value of its cookie.

        Raises NotAuthorized (no role, recorded as session.refused), NotAuthenticated, LockedDown (revoked, locked),
        and AuditUnavailable or PolicyUnavailable: then there is no session.
        """
        try:
            self.require(proof, arrival)
        except Refused as fault:
            await self.refused(arrival, proof.method, fault.reason, actor_of(proof))
            raise
        cookie, session = self.sessions.made(proof, arrival.client, arrival.now_us / 1e6, arrival.lang)
        await self.records.opened(session, arrival)
        await self.sessions.keep(cookie, session)
        return self.sessions.set_cookie(cookie)

    async def refused(self, arrival: Arrival, method: str, reason: str, shown: Actor | None = None) -> None:
        """Record that a sign-in failed; `reason` is a stable code, `shown` whom it names. Raises AuditUnavailable."""
        await self.records.refused(arrival, method, reason, shown or Actor())

    async def close(self, session: Session, cause: str, by: Actor | None = None, client: str = "") -> None:
        """End `session`, and record it where this call did: what is to end must end, recorded or not.

        `cause` is a stable code, `by` who ended it. Raises AuditUnavailable or PolicyUnavailable.
        """
        if await self.sessions.end(session.id):
            await self.records.closed(session, cause, by, client)

    async def close_dead(self, now_s: float) -> None:
        """End and record what is too old or idle. Raises as `close` does."""
        for session, cause in await self.sessions.end_dead(now_s):
            await self.records.closed(session, cause)

    def goes_to(self, session: Session) -> str:
        """Where the browser goes once `session` has ended."""
        return next((place for each in self.leaving if (place := each(session))), "/sign-in")
