"""A person's way through a sign-in at the identity provider, step by step.

 begin     a form of ours posts here; the browser gets a cookie, and a page that leads to the provider
 finish    the provider sends the browser back here; what it brings is checked, (1) to (14) of
           `policies.console.oidc_login` and `oidc_id_token`, and only then is there a session, and a page that leads
           into the console
 leave     after a sign-out: a page that leads to the provider, so that the session there ends too

Each page leads on by a refresh and a link, not by a redirect. On the way out that keeps `form-action 'self'`, which
browsers hold against every redirect after a form. On the way in it makes the next request one of our own page: the
session's cookie is SameSite=Strict, and after a redirect that another site began a browser would not send it.

What fails is recorded as session.refused before it is told, and counts against the guessing bound of the visitor's
network, as a wrong key would; a provider that is away is nobody's guess. The page shows no word of the provider's.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.clock import Clock
from gateway.console.oidc.login_cookie import FORGET_COOKIE, NAME, set_cookie
from gateway.console.oidc.login_store import LoginStore
from gateway.console.oidc.provider_link import ProviderLink
from gateway.console.page import Answer, Arrival, Page
from gateway.console.sign_in import SignIn
from policies.addresses.networks import read_address
from policies.console.oidc_id_token import (
    MAX_ID_TOKEN_BYTES,
    Answered,
    Client,
    ProvenPerson,
    verify_id_token,
)
from policies.console.oidc_login import (
    Pending,
    authorization_query,
    begin,
    read_login,
    read_tokens,
    require_code,
    require_pending,
    token_form,
)
from policies.console.session import Proof, Session
from policies.errors import LockedDown, NotAuthenticated, NotAuthorized, PolicyUnavailable, Refused
from policies.limiting.guessing import Guessing, guess_network
from policies.tokens.jwt_form import read_jwt

BEGIN, CALLBACK, LEAVE, SIGNED_OUT = "/oidc/begin", "/oidc/callback", "/oidc/leave", "/oidc/signed-out"
MAX_HINT_CHARS = 4096
"""A longer ID token is not shown at the sign-out: it would not fit into an address. The provider then asks."""

NOT_BEGUN = frozenset({"oidc_state", "oidc_browser"})
"""Then no sign-in was used up: one that goes on in another tab keeps its cookie."""

ONCE: dict[str, object] = {"languages": ()}
"""These pages answer an address that works once, so they have no link to themselves in another language."""

WORDS = {
    "oidc_denied": "oidc.denied",
    "oidc_error": "oidc.denied",
    "oidc_state": "oidc.stale",
    "oidc_late": "oidc.stale",
    "oidc_browser": "oidc.stale",
    "jwt_group_overage": "oidc.overage",
}
"""What a refusal says to the person, by its reason; the others have one text: the details are for the log."""

PROVIDER_AWAY = frozenset({"oidc_away", "key_set_away"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSignIn:
    """See the head of the module. `guessing` is the bound that the keys' sign-in has too."""

    client: Client
    link: ProviderLink
    logins: LoginStore
    sign_in: SignIn
    guessing: Guessing
    clock: Clock
    draw: Callable[[int], bytes] = secrets.token_bytes

    async def begin(self, arrival: Arrival) -> Answer:
        """The page that leads to the provider; without it, one that says so.

        Raises PolicyUnavailable when no sign-in can be kept.
        """
        try:
            endpoints = await self.link.endpoints()
        except PolicyUnavailable:
            return _away()
        login = begin(self.draw)
        pending = Pending(redirect_uri=arrival.origin + CALLBACK, begun_s=arrival.now_us / 1e6)
        await self.logins.put(login.place, pending, guess_network(read_address(arrival.client)))
        query = authorization_query(login, self.client.client_id, pending.redirect_uri, self.client.scopes)
        url = f"{endpoints.authorization}?{urlencode(query)}"
        return _onward(url, "oidc.departing", set_cookie(login.browser))

    async def finish(self, arrival: Arrival) -> Answer:
        """A session and the page that leads into the console, or the page that says why not.

        Raises AuditUnavailable, PolicyUnavailable when a part of ours is away, and RateLimited when the visitor's
        network failed too often.
        """
        try:
            person, hint = await self._prove(arrival)
        except Refused as fault:
            await self.sign_in.refused(arrival, "oidc", fault.reason)
            if isinstance(fault, PolicyUnavailable) and fault.reason not in PROVIDER_AWAY:
                raise
            self._charge(arrival, fault)
            return _away() if isinstance(fault, PolicyUnavailable) else _turned(fault)
        try:
            cookie = await self.sign_in.open(_proof(person, hint), arrival)
        except (NotAuthenticated, NotAuthorized, LockedDown) as fault:  # recorded there, with the person's name
            return _not_opened(fault, person)
        return _onward("/", "oidc.arriving", FORGET_COOKIE, cookie)

    def leaving(self, session: Session) -> str:
        """Where the browser goes once `session` has ended: by us to the provider, when the provider opened it."""
        if session.proof.method != "oidc":
            return ""
        return f"{LEAVE}?{urlencode({'hint': session.proof.logout_hint})}"

    async def leave(self, arrival: Arrival) -> Answer:
        """The page that leads to the provider's end of session (OpenID Connect RP-Initiated Logout 1.0).

        Only from a page of ours: another site must not sign anybody out. The session here has ended before.
        """
        try:
            endpoints = await self.link.endpoints()
        except PolicyUnavailable:
            return await self.signed_out(arrival)
        if not endpoints.end_session or arrival.fetch_site not in ("", "same-origin"):
            return await self.signed_out(arrival)
        query = {"client_id": self.client.client_id, "post_logout_redirect_uri": arrival.origin + SIGNED_OUT}
        if hint := arrival.query.get("hint", ""):
            query["id_token_hint"] = hint
        return _onward(f"{endpoints.end_session}?{urlencode(query)}", "oidc.leaving")

    async def signed_out(self, _arrival: Arrival) -> Answer:
        """Where the provider sends the browser after a sign-out."""
        return Page("oidc/signed_out.html")

    async def _prove(self, arrival: Arrival) -> tuple[ProvenPerson, str]:
        """Checks 1 to 14: the person, and the ID token for the sign-out. Raises NotAuthenticated, NotAuthorized."""
        login = read_login(arrival.query, arrival.cookies.get(NAME, ""))  # (1)
        pending = require_pending(await self.logins.take(login.place), arrival.now_us / 1e6)  # (2), (3)
        endpoints = await self.link.endpoints()
        code = require_code(arrival.query, endpoints)  # (4) to (6)
        redeemed = read_tokens(await self.link.redeem(endpoints, token_form(login, code, pending.redirect_uri)))  # (7)
        jwt = read_jwt(redeemed.unverified_id_token, MAX_ID_TOKEN_BYTES)
        keys = await self.link.keys_for(jwt.unverified_kid)
        answered = Answered(login=login, code=code, redeemed=redeemed, begun_s=pending.begun_s)
        person = verify_id_token(jwt, self.client, answered, keys, self.clock.unix_ns() / 1e9)  # (8) to (14)
        return person, jwt.text if len(jwt.text) <= MAX_HINT_CHARS else ""

    def _charge(self, arrival: Arrival, fault: Refused) -> None:
        """Count what may have been a guess. Raises RateLimited in the fault's place."""
        if isinstance(fault, NotAuthenticated):
            now_ns = self.clock.mono_ns()
            self.guessing.charge_failure(self.guessing.read(read_address(arrival.client), now_ns), now_ns)


def _proof(person: ProvenPerson, hint: str) -> Proof:
    return Proof(
        method="oidc",
        subject=person.subject,
        name=person.name,
        issuer=person.issuer,
        groups=tuple(sorted(person.groups)),
        issued_s=person.issued_s,
        logout_hint=hint,
    )


def _onward(to: str, words: str, *cookies: str) -> Page:
    return Page("oidc/onward.html", {"to": to, "words": words, **ONCE}, cookies=cookies)


def _away() -> Page:
    return Page("oidc/refused.html", {"words": "oidc.away", "subject": "", **ONCE}, 503, (FORGET_COOKIE,))


def _turned(fault: Refused) -> Page:
    """Nobody was proven."""
    status = 401 if isinstance(fault, NotAuthenticated) else 403
    data: dict[str, object] = {"words": WORDS.get(fault.reason, "oidc.failed"), "subject": "", **ONCE}
    return Page("oidc/refused.html", data, status, () if fault.reason in NOT_BEGUN else (FORGET_COOKIE,))


def _not_opened(fault: Refused, person: ProvenPerson) -> Page:
    """Somebody was proven who may not come in, and reads by which name policy.yaml would know them."""
    words = "oidc.no_role" if fault.reason == "console_role_none" else "oidc.barred"
    if fault.reason.endswith("_together"):
        words = "oidc.two_roles"
    return Page("oidc/refused.html", {"words": words, "subject": person.subject, **ONCE}, 403, (FORGET_COOKIE,))
