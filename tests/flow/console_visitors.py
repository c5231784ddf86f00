"""A whole gateway with its console over TLS, an identity provider beside it, and browsers that keep cookies as told."""

import asyncio
import contextlib
import html
import json
import re
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from gateway.admin.new_home import HomePlan, make_home
from gateway.app import App, opened
from gateway.audit.audit_log import stamp_now
from gateway.configuration.config import load_config
from gateway.configuration.oidc_settings import OidcSettings
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.access import ListenerName
from policies.audit_record import Actor
from policies.console.roles import RoleGrant
from policies.policy import Policy, Team
from tests.oidc_provider import Provider, oidc_provider

ROLES = (
    RoleGrant(role="admin", groups=("/corral-admins",)),
    RoleGrant(role="auditor", groups=("/corral-auditors",)),
    RoleGrant(role="team-lead", groups=("/corral-leads",), teams=("one",)),
)
SESSION, LOGIN = "__Host-corral", "__Host-corral-oidc"
LINK = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


@dataclass(frozen=True, slots=True)
class Got:
    """One answer to a browser."""

    status: int
    headers: dict[str, str]
    cookies: tuple[str, ...]
    text: str

    @property
    def onward(self) -> str:
        """Where its page leads by itself, "" for nowhere."""
        found = LINK.search(self.text)
        return html.unescape(found[1]) if found else ""


@dataclass(slots=True)
class Browser:
    """Keeps cookies and their SameSite as a browser does. `cross_site` navigations come from another site's page."""

    site: "ConsoleSite"
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def get(self, path: str, *, cross_site: bool = False) -> Got:
        """A navigation of the whole window."""
        came_from = "cross-site" if cross_site else "same-origin"
        fetch = {"Sec-Fetch-Site": came_from, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        return await self._ask("GET", path, fetch, strict=not cross_site)

    async def post(self, path: str, **form: str) -> Got:
        """A form of the console's own page."""
        headers = {"Origin": self.site.origin, "Sec-Fetch-Site": "same-origin"}
        return await self._ask("POST", path, headers, strict=True, form=form)

    async def begin(self) -> str:
        """Press the button: the address at the provider that the page leads to."""
        page = await self.post("/oidc/begin")
        assert page.status == 200, page
        return page.onward

    async def choose(self, url: str, person: str) -> str:
        """Be `person` at the provider: the path that it sends the browser back to."""
        session = self.site.session
        ca_file = str(self.site.provider.ca_file)
        context = ssl.create_default_context(cafile=ca_file)
        async with session.get(f"{url}&login_hint={person}", allow_redirects=False, ssl=context) as answer:
            assert answer.status == 302, await answer.text()
            back = urlsplit(answer.headers["Location"])
        assert f"{back.scheme}://{back.netloc}" == self.site.origin
        return f"{back.path}?{back.query}"

    async def sign_in(self, person: str) -> Got:
        """All the way: the answer to the provider's redirect."""
        return await self.get(await self.choose(await self.begin(), person), cross_site=True)

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], *, strict: bool, form: dict[str, str] | None = None
    ) -> Got:
        sent = [f"{name}={value}" for name, (value, same) in self.cookies.items() if strict or same != "Strict"]
        if sent:
            headers = {**headers, "Cookie": "; ".join(sent)}
        url, tls = self.site.origin + path, self.site.tls
        async with self.site.session.request(
            method, url, headers=headers, data=form, ssl=tls, allow_redirects=False
        ) as answer:
            cookies = tuple(answer.headers.getall("Set-Cookie", []))
            self._keep(cookies)
            return Got(answer.status, dict(answer.headers), cookies, await answer.text())

    def _keep(self, cookies: tuple[str, ...]) -> None:
        for text in cookies:
            for name, morsel in SimpleCookie(text).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = (morsel.value, morsel["samesite"])


@dataclass(slots=True)
class ConsoleSite:
    """The running gateway, its provider, and what its log says."""

    app: App
    provider: Provider
    origin: str
    tls: ssl.SSLContext
    session: aiohttp.ClientSession
    audit: Path

    def browser(self) -> Browser:
        return Browser(self)

    def refusals(self) -> list[str]:
        """The reasons of all refused sign-ins that have records."""
        return [each["decision"]["reason"] for each in self.records("session.refused")]

    def records(self, event: str) -> list[dict[str, Any]]:
        """The log's records of `event`, as they stand in its files."""
        lines = [line for file in sorted(self.audit.glob("**/*.jsonl")) for line in file.read_text().splitlines()]
        return [record for record in map(json.loads, lines) if record.get("event") == event]

    async def sessions(self) -> int:
        """How many sessions there are."""
        console = self.app._console
        assert console is not None
        return len(await console.sessions.open_now(time.time()))

    def take_policy(self, **changes: Any) -> None:
        """The policy with `changes`, in force from now on."""
        policy = replace(self.app.gate.in_force.policy, **changes)
        self.app.take_policy(PolicyInForce(policy=policy, hash="1" * 64))


@contextlib.asynccontextmanager
async def console_site(
    folder: Path, *, more: Mapping[ListenerName, socket.socket] | None = None, **oidc: Any
) -> AsyncIterator[ConsoleSite]:
    """A gateway with a console on a free port of localhost; `oidc` replaces settings of the provider's.

    `more` are the sockets of further listeners.
    """
    plan = HomePlan(
        names=(), actor=Actor(kind="operator"), leave_key=False, stamp=stamp_now(), random_bytes=secrets.token_bytes
    )
    home = make_home(folder / "home", plan).home
    home.run.mkdir(exist_ok=True)
    listening = socket.create_server(("127.0.0.1", 0))
    origin = f"https://localhost:{listening.getsockname()[1]}"
    (folder / "provider").mkdir()
    async with oidc_provider(folder / "provider", redirect_uris=[f"{origin}/oidc/callback"]) as provider:
        settings = {
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "client_secret_file": str(provider.secret_file),
            "ca_file": str(provider.ca_file),
            **oidc,
        }
        config = load_config(home.config)
        console = replace(config.console, enabled=True, oidc=OidcSettings(**settings))
        setting = Setting(
            home=home,
            config=replace(config, console=console, back_door=replace(config.back_door, enabled=False)),
            policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
            in_force=PolicyInForce(policy=Policy(teams={"one": Team(models=("*",))}, roles=ROLES), hash="0" * 64),
            sockets={"console": listening, **(more or {})},
        )
        tls = ssl.create_default_context(cafile=home.ca_certificate)
        async with opened(setting) as app, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield ConsoleSite(app, provider, origin, tls, session, home.audit)
            await session.close()
            await app.drain(asyncio.Event())


def query_of(path: str) -> dict[str, str]:
    """The fields of an address."""
    return dict(parse_qsl(urlsplit(path).query, keep_blank_values=True))
