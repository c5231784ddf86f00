"""Signing in by a certificate or, in an emergency, an API key; signing out; and a person's open sessions."""

from dataclasses import dataclass

from gateway.console.page import Answer, Arrival, ConsoleRoute, Elsewhere, OpenRoute, Page, Turned, Visit
from gateway.console.sign_in import SignIn
from gateway.console.world import World
from policies.access import require_scope
from policies.addresses.networks import read_address
from policies.audit_record import Actor
from policies.console.session import Proof, Session
from policies.console.viewer import EVERY_ROLE
from policies.credentials.credential import ApiKeyCredential, Presented
from policies.credentials.principal import Principal
from policies.errors import (
    AuditUnavailable,
    LockedDown,
    NotAuthenticated,
    NotAuthorized,
    PolicyUnavailable,
    RateLimited,
    Refused,
)

MAX_KEY_CHARS = 200


@dataclass(frozen=True, slots=True)
class SessionPages:
    """The part's pages."""

    world: World
    sign_in: SignIn

    async def ask(self, arrival: Arrival) -> Answer:
        """GET /sign-in: the ways in, and why the browser came here."""
        return self._page(arrival, "session.ended" if "ended" in arrival.query else "")

    async def by_key(self, arrival: Arrival) -> Answer:
        """POST /sign-in/key: a key with the scope admin, for emergencies."""
        try:
            principal = await self._principal(arrival)
        except Refused as fault:
            await self.sign_in.refused(arrival, "break_glass", fault.reason, _shown(fault))
            if isinstance(fault, RateLimited | PolicyUnavailable | AuditUnavailable):
                raise
            return self._page(arrival, "session.failed", 401)
        proof = Proof(
            method="break_glass",
            subject=principal.actor,
            name=principal.actor,
            key_id=principal.key_id,
            issued_s=principal.issued_s,
        )
        return await self._opened(proof, arrival)

    async def by_certificate(self, arrival: Arrival) -> Answer:
        """POST /sign-in/certificate: the certificate of this connection, by the roles that the policy gives it."""
        certificate = arrival.certificate
        if certificate is None or not certificate.names:
            reason = "certificate_without_names" if certificate else "no_certificate"
            await self.sign_in.refused(arrival, "certificate", reason)
            return self._page(arrival, "session.failed", 401)
        named = self._named(certificate.names)
        proof = Proof(
            method="certificate",
            subject=named,
            name=named.partition(":")[2],
            names=certificate.names,
            certificate=certificate.sha256,
            issued_s=certificate.not_before_s,
        )
        return await self._opened(proof, arrival)

    async def leave(self, visit: Visit) -> Answer:
        """POST /sign-out."""
        session = await self._own(visit.viewer.session, visit)
        await self.sign_in.close(session, "signed_out", visit.viewer.actor, visit.client)
        return Elsewhere(self.sign_in.goes_to(session), (self.sign_in.sessions.take_cookie(),))

    async def list_open(self, visit: Visit) -> Answer:
        """GET /sessions: one's own, and for an admin everybody's."""
        return Page("session/sessions.html", {"sessions": await self._visible(visit)})

    async def end(self, visit: Visit) -> Answer:
        """POST /sessions/end: one of those."""
        session = await self._own(visit.form.get("session", ""), visit)
        own = session.id == visit.viewer.session
        await self.sign_in.close(session, "ended_by_person", visit.viewer.actor, visit.client)
        cookies = (self.sign_in.sessions.take_cookie(),) if own else ()
        return Elsewhere("/sign-in" if own else "/sessions", cookies)

    async def _principal(self, arrival: Arrival) -> Principal:
        identity, client = self.world.gate.identity, read_address(arrival.client)
        credential = ApiKeyCredential(arrival.form.get("key", "").strip()[:MAX_KEY_CHARS])
        presented = Presented("POST", arrival.path, "", (), arrival.certificate)
        principal = await identity.verify(credential, identity.allowance(client), presented)
        try:
            require_scope(principal.kind, principal.scopes, "admin")
        except NotAuthorized as fault:
            fault.key_id, fault.actor = principal.key_id, principal.actor
            raise
        return principal

    async def _opened(self, proof: Proof, arrival: Arrival) -> Answer:
        cookie = await self.sign_in.open(proof, arrival)
        return Elsewhere("/", (cookie,))

    def _named(self, names: tuple[str, ...]) -> str:
        """The name that the policy gives a role to, or the certificate's first."""
        known = {name for grant in self.world.gate.in_force.policy.roles for name in grant.certificates}
        return next((name for name in names if name in known), names[0])

    def _page(self, arrival: Arrival, line_key: str, status: int = 200) -> Page:
        certificate = arrival.certificate
        shown = ", ".join(certificate.names) or certificate.sha256[:16] if certificate else ""
        return Page(
            "session/sign_in.html",
            {"line_key": line_key, "offers": self.sign_in.offers, "certificate": shown},
            status,
        )

    async def _visible(self, visit: Visit) -> tuple[Session, ...]:
        found = await self.sign_in.sessions.open_now(visit.now_us / 1e6)
        own = next((each.owner for each in found if each.id == visit.viewer.session), None)
        return tuple(each for each in found if visit.viewer.role == "admin" or each.owner == own)

    async def _own(self, name: str, visit: Visit) -> Session:
        """The open session `name`, where the viewer may end it. Raises Turned."""
        for each in await self._visible(visit):
            if each.id == name:
                return each
        raise Turned(404, "frame.why_not_found")


def routes(world: World, sign_in: SignIn) -> tuple[ConsoleRoute, ...]:
    """The part's pages for who is signed in."""
    pages = SessionPages(world, sign_in)
    return (
        ConsoleRoute(method="POST", path="/sign-out", roles=EVERY_ROLE, answer=pages.leave),
        ConsoleRoute(method="GET", path="/sessions", roles=EVERY_ROLE, answer=pages.list_open),
        ConsoleRoute(method="POST", path="/sessions/end", roles=EVERY_ROLE, answer=pages.end),
    )


def open_routes(world: World, sign_in: SignIn) -> tuple[OpenRoute, ...]:
    """The part's pages for everybody."""
    pages = SessionPages(world, sign_in)
    return (
        OpenRoute(method="GET", path="/sign-in", answer=pages.ask),
        OpenRoute(method="POST", path="/sign-in/key", answer=pages.by_key),
        OpenRoute(method="POST", path="/sign-in/certificate", answer=pages.by_certificate),
    )


def _shown(fault: Refused) -> Actor:
    """Whom a refused key names: only who held its secret can have it named."""
    if isinstance(fault, NotAuthenticated | NotAuthorized | LockedDown):
        return Actor(key_id=fault.key_id, name=fault.actor, issuer=fault.issuer)
    return Actor()
