"""An OpenID Connect provider on loopback, for tests: TLS, real keys, a page to choose a person, and misconduct at will.

It keeps to the rules that a client relies on: a code works once, for the redirect address and the PKCE verifier of its
login; the ID token carries the nonce and `at_hash`; the answer names its issuer (RFC 9207). What a test wants broken
it puts into `misconduct`, and nothing else changes.

    async with oidc_provider(folder, redirect_uris=["https://localhost:8445/oidc/callback"]) as provider:
        provider.issuer, provider.ca_file, provider.client_id, provider.secret_file

    python -m tests.oidc_provider --folder DIR --redirect-uri https://localhost:8445/oidc/callback

prints one line of JSON with the same names and runs until SIGTERM. It listens on 127.0.0.1 and is called by that
address: a console at https://localhost is another site to a browser, as a real provider would be.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import html
import json
import secrets
import signal
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from aiohttp import web

from tests.authority import Authority
from tests.tokens import b64, header, jwks, sign

KEY = "rsa-provider"
TOKEN_S = 300
HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512, "DSA": hashlib.sha512}

PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"sub": "u-ada", "preferred_username": "ada", "name": "Ada Admin", "groups": ["/corral-admins"]},
    "audrey": {"sub": "u-audrey", "preferred_username": "audrey", "groups": ["/corral-auditors"]},
    "leo": {"sub": "u-leo", "preferred_username": "leo", "groups": ["/corral-leads"]},
    "nora": {"sub": "u-nora", "preferred_username": "nora", "groups": ["/canteen"]},
    "both": {"sub": "u-both", "preferred_username": "both", "groups": ["/corral-admins", "/corral-auditors"]},
}
"""Who may be chosen, by the name on the button: an admin, an auditor, a team lead, nobody, and too much at once."""


@dataclass(slots=True, kw_only=True)
class Misconduct:
    """What the provider does wrong. Each hook gets the good thing and answers what is sent in its place.

    `document`, `claims`, `head` and `answer` (of the token endpoint) change objects; `token` the signed ID token;
    `status` is the token endpoint's, whatever it answers.
    `callback` changes the parameters of the way back. `key` signs in place of the good one. `checks_pkce` and
    `once` False leave those checks out. `down` answers 503 to all. `slow_s` waits before the token's answer.
    """

    document: Callable[[dict[str, Any]], dict[str, Any]] = dict
    claims: Callable[[dict[str, Any]], dict[str, Any]] = dict
    head: Callable[[dict[str, Any]], dict[str, Any]] = dict
    answer: Callable[[dict[str, Any]], dict[str, Any]] = dict
    status: int | None = None
    token: Callable[[str], str] = str
    callback: Callable[[dict[str, str]], dict[str, str]] = dict
    key: str = KEY
    checks_pkce: bool = True
    once: bool = True
    down: bool = False
    slow_s: float = 0.0


@dataclass(slots=True)
class Code:
    """One code given out: the login it belongs to, and whether it was used."""

    login: dict[str, str]
    person: str
    used: bool = False


@dataclass(slots=True, kw_only=True)
class Provider:
    """The running provider and what it saw: `asked` by path, `callbacks` it sent browsers to, `redeeming` by us
    (form and header), `logouts` asked of it.
    """

    issuer: str
    ca_file: Path
    client_id: str
    client_secret: str
    secret_file: Path
    redirect_uris: list[str]
    people: dict[str, dict[str, Any]]
    misconduct: Misconduct = field(default_factory=Misconduct)
    asked: Counter[str] = field(default_factory=Counter)
    callbacks: list[str] = field(default_factory=list)
    logouts: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)
    redeeming: list[tuple[dict[str, str], str]] = field(default_factory=list)
    now: Callable[[], float] = time.time

    # ---- what is published

    def document(self) -> dict[str, Any]:
        """The discovery document."""
        good = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }
        return self.misconduct.document(good)

    # ---- the browser's way

    def authorize_fault(self, login: Mapping[str, str]) -> str:
        """What is wrong with a login's parameters, "" for nothing."""
        wanted = {"response_type": "code", "client_id": self.client_id, "code_challenge_method": "S256"}
        for name, value in wanted.items():
            if login.get(name) != value:
                return f"{name} must be {value}"
        if login.get("redirect_uri") not in self.redirect_uris:
            return "redirect_uri is not registered"
        if "openid" not in login.get("scope", "").split(" "):
            return "scope must hold openid"
        missing = [name for name in ("state", "nonce", "code_challenge") if not login.get(name)]
        return f"{missing[0]} is missing" if missing else ""

    def authorized(self, login: Mapping[str, str], person: str) -> str:
        """The address that sends the browser of `person` back with a code."""
        code = secrets.token_urlsafe(32)
        self.codes[code] = Code(dict(login), person)
        return self._back(login, {"code": code})

    def denied(self, login: Mapping[str, str]) -> str:
        """The address that sends a browser back without one."""
        return self._back(login, {"error": "access_denied", "error_description": "<b>no</b>"})

    def _back(self, login: Mapping[str, str], answer: dict[str, str]) -> str:
        good = {**answer, "state": login["state"], "iss": self.issuer}
        url = f"{login['redirect_uri']}?{urlencode(self.misconduct.callback(good))}"
        self.callbacks.append(url)
        return url

    # ---- the client's way

    def redeemed(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token endpoint's status and answer."""
        self.redeeming.append((dict(form), authorization))
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        code = self.codes.get(form.get("code", ""))
        if form.get("grant_type") != "authorization_code" or code is None or (code.used and self.misconduct.once):
            return 400, {"error": "invalid_grant"}
        code.used = True
        if form.get("redirect_uri") != code.login["redirect_uri"] or not self._proves(form, code):
            return 400, {"error": "invalid_grant"}
        return 200, self.misconduct.answer(self._tokens(code))

    def _is_client(self, form: Mapping[str, str], authorization: str) -> bool:
        if authorization.startswith("Basic "):
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            shown = tuple(unquote(part) for part in pair.split(":", 1))
        else:
            shown = (form.get("client_id", ""), form.get("client_secret", ""))
        return shown == (self.client_id, self.client_secret)

    def _proves(self, form: Mapping[str, str], code: Code) -> bool:
        verifier = form.get("code_verifier", "")
        challenge = b64(hashlib.sha256(verifier.encode()).digest())
        return not self.misconduct.checks_pkce or challenge == code.login["code_challenge"]

    def _tokens(self, code: Code) -> dict[str, Any]:
        access_token = secrets.token_urlsafe(24)
        token = self.misconduct.token(self.id_token(code, access_token))
        return {"token_type": "Bearer", "access_token": access_token, "expires_in": TOKEN_S, "id_token": token}

    def id_token(self, code: Code, access_token: str) -> str:
        """The ID token of one login."""
        head = self.misconduct.head(header(self.misconduct.key, kid=KEY, typ="JWT"))
        half = HASHES[head["alg"][-3:]](access_token.encode()).digest() if head["alg"][-3:] in HASHES else b"\0" * 32
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "azp": self.client_id,
            "iat": now,
            "auth_time": now,
            "exp": now + TOKEN_S,
            "nonce": code.login["nonce"],
            "at_hash": b64(half[: len(half) // 2]),
            **self.people[code.person],
        }
        return sign(self.misconduct.claims(claims), head, self.misconduct.key)


class _Pages:
    """The provider's answers over HTTP."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/.well-known/openid-configuration", self.document),
            web.get("/keys", self.keys),
            web.get("/authorize", self.choose),
            web.post("/authorize", self.chosen),
            web.post("/token", self.token),
            web.get("/logout", self.logout),
            web.get("/favicon.ico", self.nothing),
        ]

    @web.middleware
    async def seen(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Counts, and fails when it should."""
        self._provider.asked[request.path] += 1
        if self._provider.misconduct.down:
            return web.Response(status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def document(self, _request: web.Request) -> web.Response:
        return web.json_response(self._provider.document())

    async def keys(self, _request: web.Request) -> web.Response:
        return web.Response(body=jwks(KEY), content_type="application/json")

    async def nothing(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def choose(self, request: web.Request) -> web.Response:
        """A page with a button for each person; `login_hint` presses it."""
        login = dict(request.query)
        if fault := self._provider.authorize_fault(login):
            return web.Response(status=400, text=fault)
        if login.get("login_hint") in self._provider.people:
            raise web.HTTPFound(self._provider.authorized(login, login["login_hint"]))
        fields = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in login.items()
        )
        buttons = "".join(
            f'<button name="person" value="{html.escape(name)}">{html.escape(name)}</button>'
            for name in (*self._provider.people, "nobody")
        )
        page = (
            f'<!doctype html><html lang="en"><title>Choose</title><form method="post">{fields}{buttons}</form></html>'
        )
        return web.Response(text=page, content_type="text/html")

    async def chosen(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        person = form.pop("person", "")
        known = person in self._provider.people
        raise web.HTTPFound(self._provider.authorized(form, person) if known else self._provider.denied(form))

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        status, answer = self._provider.redeemed(form, request.headers.get("Authorization", ""))
        await asyncio.sleep(self._provider.misconduct.slow_s)
        if self._provider.misconduct.status is not None:
            status, answer = self._provider.misconduct.status, self._provider.misconduct.answer({})
        return web.json_response(answer, status=status, headers={"Location": "/token"} if status == 307 else None)

    async def logout(self, request: web.Request) -> web.Response:
        self._provider.logouts.append(dict(request.query))
        back = request.query.get("post_logout_redirect_uri", "")
        if any(back.startswith(f"{uri.rpartition('/oidc/')[0]}/") for uri in self._provider.redirect_uris):
            raise web.HTTPFound(back)
        return web.Response(text="signed out")


@contextlib.asynccontextmanager
async def oidc_provider(
    folder: Path,
    *,
    redirect_uris: Iterable[str] = (),
    people: dict[str, dict[str, Any]] | None = None,
    client_id: str = "corral-console",
    port: int = 0,
) -> AsyncIterator[Provider]:
    """A provider that runs inside the block; its files are put into `folder`.

    `redirect_uris` may be appended to later, `provider.redirect_uris` is a list.
    """
    authority = Authority(folder, "oidc authority")
    secret_file = folder / "oidc-client-secret"
    client_secret = secrets.token_urlsafe(32)
    secret_file.write_text(client_secret + "\n")
    secret_file.chmod(0o600)
    provider = Provider(
        issuer="", ca_file=authority.bundle, client_id=client_id, client_secret=client_secret, secret_file=secret_file,
        redirect_uris=list(redirect_uris), people=dict(PEOPLE if people is None else people),
    )  # fmt: skip
    pages = _Pages(provider)
    app = web.Application(middlewares=[pages.seen])
    app.add_routes(pages.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.server("oidc-server"))
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    provider.issuer = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


async def _run(folder: Path, redirect_uris: list[str], port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with oidc_provider(folder, redirect_uris=redirect_uris, port=port) as provider:
        told = {
            "issuer": provider.issuer,
            "ca_file": str(provider.ca_file),
            "client_id": provider.client_id,
            "secret_file": str(provider.secret_file),
        }
        print(json.dumps(told), flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    """The command line of the module's head."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--redirect-uri", action="append", default=[])
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_run(asked.folder, asked.redirect_uri, asked.port))


if __name__ == "__main__":
    main()
