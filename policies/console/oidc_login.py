"""Does this way back from the identity provider belong to a sign-in that this very browser began?

A sign-in begins with two random texts of 256 bits: one for the browser, in a cookie, and the `state`, which the
provider hands back. Nonce and PKCE verifier are made from both, and what is kept of a sign-in stands under a digest of
both: so nothing that is kept, here or in a shared store, is a secret, and a state is worth nothing in another browser.

The checks on the way back, in this order, stopping at the first that fails; those on the tokens follow in
`policies.console.oidc_id_token`:
 (1) a state and a cookie of our form                                                oidc_state, oidc_browser
 (2) a sign-in that began with both of them, taken out: a second visit finds none    oidc_state
     (login CSRF, a state of another browser, a replayed address: RFC 9700 sections 4.5 to 4.7)
 (3) begun at most ten minutes ago, by a clock that did not go back                  oidc_late
 (4) `iss` is the provider's (RFC 9207): demanded where the provider says that it
     sends one, compared wherever there is one (mix-up, RFC 9700 section 4.4)        oidc_mix_up
 (5) no `error`; what the provider says of one is shown to nobody                    oidc_denied, oidc_error
 (6) a code of at most 4 KiB of visible ASCII                                        oidc_form
 (7) the provider takes code, secret and verifier, and answers with tokens           oidc_code, oidc_form
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from policies.console.oidc_endpoints import Endpoints
from policies.errors import NotAuthenticated
from policies.tokens.strict_json import read_strict_object

LOGIN_S = 600.0
"""Long enough to find the second factor; a forgotten tab is no open door."""
SECRET_BYTES = 32
MAX_CODE_CHARS = 4096
"""Entra's are above a thousand."""
BY_THE_PERSON = frozenset({"access_denied", "login_required", "interaction_required", "consent_required"})
"""Errors of the way back that say: this person was not let through there (RFC 6749 4.1.2.1, OpenID Connect 3.1.2.6)."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_CODE = re.compile(rf"[\x21-\x7e]{{1,{MAX_CODE_CHARS}}}")


class Login(Struct, frozen=True, kw_only=True):
    """One sign-in under way: the browser's secret and the state."""

    browser: str
    state: str

    @property
    def place(self) -> str:
        """What it is kept under."""
        return hashlib.sha256(f"corral console sign-in {self.browser} {self.state}".encode()).hexdigest()

    @property
    def nonce(self) -> str:
        """What the ID token must carry."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What proves to the token endpoint that the code is for us (RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The verifier's digest, as the browser carries it to the provider: S256."""
        return _spelt(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, use: str) -> str:
        return _spelt(hmac.digest(self.browser.encode(), f"{use} {self.state}".encode(), "sha256"))

    def __repr__(self) -> str:
        return "Login(...)"


class Pending(Struct, frozen=True, kw_only=True):
    """What is kept of a sign-in: the address it comes back to, and when it began in Unix seconds."""

    redirect_uri: str
    begun_s: float


class Redeemed(Struct, frozen=True, kw_only=True):
    """What the token endpoint gave: the ID token, unverified, and the access token that it may be bound to ("")."""

    unverified_id_token: str
    access_token: str

    def __repr__(self) -> str:
        return "Redeemed(...)"


def begin(draw: Callable[[int], bytes]) -> Login:
    """A new sign-in. `draw(n)` gives n random bytes."""
    return Login(browser=_spelt(draw(SECRET_BYTES)), state=_spelt(draw(SECRET_BYTES)))


def authorization_query(login: Login, client_id: str, redirect_uri: str, scopes: tuple[str, ...]) -> dict[str, str]:
    """What the browser asks the authorization endpoint (OpenID Connect Core 3.1.2.1, RFC 7636 section 4.3)."""
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": login.state,
        "nonce": login.nonce,
        "code_challenge": login.challenge,
        "code_challenge_method": "S256",
    }


def read_login(query: Mapping[str, str], cookie: str) -> Login:
    """Check 1. `cookie` is "" where the browser sent none. Raises NotAuthenticated."""
    state = query.get("state", "")
    if not _SECRET.fullmatch(state):
        raise _refused("oidc_state")
    if not _SECRET.fullmatch(cookie):
        raise _refused("oidc_browser")
    return Login(browser=cookie, state=state)


def require_pending(pending: Pending | None, now_s: float) -> Pending:
    """Checks 2 and 3 on what was kept under the login's place; `now_s` in Unix seconds. Raises NotAuthenticated."""
    if pending is None:
        raise _refused("oidc_state")
    if not 0 <= now_s - pending.begun_s <= LOGIN_S:
        raise _refused("oidc_late")
    return pending


def require_code(query: Mapping[str, str], endpoints: Endpoints) -> str:
    """Checks 4 to 6: the code. Raises NotAuthenticated."""
    named = query.get("iss")
    if named != endpoints.issuer and (named is not None or endpoints.names_issuer):
        raise _refused("oidc_mix_up")
    if "error" in query:
        raise _refused("oidc_denied" if query["error"] in BY_THE_PERSON else "oidc_error")
    code = query.get("code", "")
    if not _CODE.fullmatch(code):
        raise _refused("oidc_form")
    return code


def token_form(login: Login, code: str, redirect_uri: str) -> dict[str, str]:
    """What the token endpoint is asked, but for the client's own name and secret (RFC 6749 4.1.3, RFC 7636 4.5)."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": login.verifier,
    }


def read_tokens(answer: bytes) -> Redeemed:
    """Check 7: the token endpoint's answer. Raises NotAuthenticated."""
    try:
        fields = read_strict_object(answer)
    except ValueError:
        raise _refused("oidc_form") from None
    token, access_token = fields.get("id_token"), fields.get("access_token", "")
    if not isinstance(token, str) or not isinstance(access_token, str) or not _is_bearer(fields.get("token_type")):
        raise _refused("oidc_form")
    return Redeemed(unverified_id_token=token, access_token=access_token)


def _is_bearer(kind: Any) -> bool:
    return isinstance(kind, str) and kind.lower() == "bearer"


def _spelt(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(reason: str) -> NotAuthenticated:
    return NotAuthenticated(reason, presented=True)
