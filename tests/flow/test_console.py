"""The console's flow on real sockets over TLS: sign-in by key and certificate, roles, forms, ends, records."""

import asyncio
import contextlib
import json
import re
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from msgspec import structs

from gateway.admin.new_home import HomePlan, make_home
from gateway.app import App, opened
from gateway.audit.audit_log import stamp_now
from gateway.configuration.config import load_config
from gateway.console.page import ConsoleRoute, Streamed, Visit
from gateway.console.table import ConsoleTable
from gateway.keys.pepper import load_peppers
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.addresses.networks import ListenerNetworks, Networks
from policies.audit_record import Actor
from policies.console.roles import RoleGrant
from policies.console.session import IDLE_S, LONGEST_S
from policies.console.viewer import EVERY_ROLE
from policies.credentials.api_key import mint
from policies.credentials.key_record import new_record
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation
from policies.errors import AuditUnavailable
from policies.policy import Policy, Team
from tests.authority import Authority

PEOPLE = {"anna": "auditor", "otto": "team-lead", "ada": "admin"}
ROLES = tuple(
    RoleGrant(
        role=role,  # type: ignore[arg-type]
        certificates=(f"email:{name}@example.org",),
        teams=("one",) if role == "team-lead" else None,
    )
    for name, role in PEOPLE.items()
)
COOKIE = re.compile(r"__Host-corral=([A-Za-z0-9_-]{43}); Path=/; Secure; HttpOnly; SameSite=Strict\Z")
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Got:
    """One answer."""

    status: int
    headers: dict[str, str]
    cookies: tuple[str, ...]
    text: str

    @property
    def onward(self) -> str:
        return self.headers.get("Location", "")


@dataclass(slots=True)
class Site:
    """The running gateway with its console, and browsers with and without certificates."""

    app: App
    origin: str
    folder: Path
    contexts: dict[str, ssl.SSLContext]
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, who: str = "", cookie: str = "", **options: Any) -> Got:
        """One request of `who`, whose browser shows their certificate; a POST comes from our own page."""
        headers = {"Origin": self.origin} if method == "POST" else {}
        headers |= {"Cookie": f"__Host-corral={cookie}"} if cookie else {}
        headers |= options.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value}
        url = self.origin + path
        async with self.session.request(
            method, url, ssl=self.contexts[who], headers=headers, allow_redirects=False, **options
        ) as answer:
            cookies = tuple(answer.headers.getall("Set-Cookie", []))
            return Got(answer.status, dict(answer.headers), cookies, await answer.text())

    async def sign_in(self, who: str) -> str:
        """The cookie of `who`, signed in by certificate."""
        got = await self.ask("POST", "/sign-in/certificate", who=who, data={})
        assert (got.status, got.onward) == (303, "/"), got
        return cookie_of(got)

    async def by_key(self, key: str, **options: Any) -> Got:
        return await self.ask("POST", "/sign-in/key", data={"key": key}, **options)

    async def token(self, who: str, cookie: str) -> str:
        page = await self.ask("GET", "/sessions", who=who, cookie=cookie)
        found = TOKEN.search(page.text)
        assert found, page
        return found[1]

    def key(self, *scopes: str, **changes: Any) -> tuple[str, str]:
        """A new key: its text and id."""
        made = mint(secrets.token_bytes)
        peppers = load_peppers(self.folder / "home" / "pepper")
        record = new_record(made, peppers, time.time(), team="one", scopes=frozenset(scopes))
        self.app._keys.save(replace(record, owner="root", **changes))
        return made.text, made.id

    def take_policy(self, **changes: Any) -> None:
        policy = replace(self.app.gate.in_force.policy, **changes)
        self.app.take_policy(PolicyInForce(policy=policy, hash="1" * 64))

    def records(self, event: str) -> list[dict[str, Any]]:
        files = sorted((self.folder / "home" / "audit").glob("**/*.jsonl"))
        lines = [line for file in files for line in file.read_text().splitlines()]
        return [record for record in map(json.loads, lines) if record.get("event") == event]

    def reasons(self, event: str) -> list[str]:
        return [each["decision"].get("reason", "") for each in self.records(event)]

    async def aged(self, cookie: str, *, idle_s: float = 0.0, age_s: float = 0.0) -> None:
        """Make the session of `cookie` that much older."""
        console = self.app._console
        assert console is not None
        session = await console.sessions.find(cookie)
        older = structs.replace(session, opened_s=session.opened_s - age_s)
        await console.sessions.seen(cookie, older, time.time() - idle_s, "")


def cookie_of(got: Got) -> str:
    [text] = got.cookies
    found = COOKIE.match(text)
    assert found, text
    return found[1]


@contextlib.asynccontextmanager
async def console_site(folder: Path) -> AsyncIterator[Site]:
    plan = HomePlan(
        names=(), actor=Actor(kind="operator"), leave_key=False, stamp=stamp_now(), random_bytes=secrets.token_bytes
    )
    home = make_home(folder / "home", plan).home
    home.run.mkdir(exist_ok=True)
    (folder / "people").mkdir()
    authority = Authority(folder / "people")
    contexts = {"": ssl.create_default_context(cafile=home.ca_certificate)}
    for name in (*PEOPLE, "nobody"):
        contexts[name] = ssl.create_default_context(cafile=home.ca_certificate)
        contexts[name].load_cert_chain(*authority.issue(name, names=[x509.RFC822Name(f"{name}@example.org")]))
    listening = socket.create_server(("127.0.0.1", 0))
    config = load_config(home.config)
    setting = Setting(
        home=home,
        config=replace(
            config,
            console=replace(config.console, enabled=True, client_certificates="optional"),
            tls=replace(config.tls, client_ca=str(authority.bundle)),
            back_door=replace(config.back_door, enabled=False),
        ),
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=Policy(teams={"one": Team(), "two": Team()}, roles=ROLES), hash="0" * 64),
        sockets={"console": listening},
    )
    origin = f"https://127.0.0.1:{listening.getsockname()[1]}"
    async with opened(setting) as app, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Site(app, origin, folder, contexts, session)
        await session.close()
        await app.drain(asyncio.Event())


@pytest.fixture
async def site(tmp_path) -> AsyncIterator[Site]:
    async with console_site(tmp_path) as made:
        yield made


# ---- who is nobody


async def test_whoever_is_not_signed_in_sees_the_sign_in_and_learns_nothing_of_paths(site):
    for path in ("/", "/sessions", "/nothing", "/audit"):
        got = await site.ask("GET", path)
        assert (got.status, got.onward, got.cookies, got.text) == (303, "/sign-in", (), "")
    script = await site.ask("GET", "/sessions", headers={"Sec-Fetch-Dest": "empty"})
    assert (script.status, script.text) == (401, "signed out\n")
    page = await site.ask("GET", "/sign-in")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_every_answer_has_the_headers_and_assets_may_be_kept(site):
    page = await site.ask("GET", "/sign-in")
    [style] = set(re.findall(r'"(/assets/[0-9a-f]{16}/console\.css)"', page.text))
    asset, missing = await site.ask("GET", style), await site.ask("GET", "/assets/0/console.css")
    [named] = re.findall(r'<link rel="icon" type="image/svg\+xml" href="(/assets/[0-9a-f]{16}/icon\.svg)">', page.text)
    icons = [await site.ask("GET", path) for path in (named, "/favicon.ico")]
    assert {(each.status, each.headers["Content-Type"]) for each in icons} == {(200, "image/svg+xml")}
    assert icons[0].text == icons[1].text
    assert ["immutable" in each.headers["Cache-Control"] for each in icons] == [True, False]
    refused = await site.ask("GET", "/sign-in", headers={"Origin": "https://evil.example"})
    assert [each.status for each in (page, asset, missing, refused)] == [200, 200, 404, 403]
    for got in (page, asset, missing, refused):
        assert got.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" in got.headers
        assert not [name for name in got.headers if name.lower().startswith("access-control")]
    assert "immutable" in asset.headers["Cache-Control"]
    assert {got.headers["Cache-Control"] for got in (page, missing, refused)} == {"no-store"}


FOREIGN = [
    ({"Origin": ""}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "https://evil.example"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Host": "evil.example"}, 421),
    ({"Content-Type": "text/plain"}, 400),
]
"""Headers of a sign-in that another site's page sent, and the answers."""


async def test_a_sign_in_that_another_page_sent_is_not_looked_at(site):
    key, _ = site.key("admin")
    for headers, status in FOREIGN:
        got = await site.by_key(key, headers=headers)
        assert (got.status, got.cookies) == (status, ()), headers
    assert site.records("session.opened") == []


# ---- the key


async def test_a_key_lets_an_admin_in_with_an_alarm_for_those_who_must_know(site):
    key, key_id = site.key("admin")
    got = await site.by_key(key)
    assert (got.status, got.onward) == (303, "/")
    page = await site.ask("GET", "/sessions", cookie=cookie_of(got))
    assert page.status == 200
    assert 'class="alarm"' in page.text
    for event in ("session.opened", "session.break_glass"):
        [record] = site.records(event)
        assert record["actor"]["key_id"] == key_id
        assert record["src"]["listener"] == "console"
    assert 'class="alarm"' in (await site.ask("GET", "/sessions", who="anna", cookie=await site.sign_in("anna"))).text
    lead = await site.ask("GET", "/sessions", who="otto", cookie=await site.sign_in("otto"))
    assert 'class="alarm"' not in lead.text
    assert (
        site.app.metrics.registry.get_sample_value(
            "corral_console_sign_ins_total", {"method": "break_glass", "outcome": "opened"}
        )
        == 1.0
    )


async def test_no_other_key_lets_anybody_in_and_all_read_the_same(site):
    good, _ = site.key("admin")
    wrong = good[:-8] + ("A" * 8 if not good.endswith("A" * 8) else "B" * 8)
    keys = {
        "malformed": "nonsense",
        "scope_admin_missing": site.key("inference", "models")[0],
        "expired": site.key("admin", expires_s=time.time() - 1)[0],
        "revoked": site.key("admin", revoked_s=time.time() - 1)[0],
    }
    pages = [await site.by_key(key) for key in (*keys.values(), wrong)]
    assert [page.status for page in pages] == [401] * 5
    bodies = {re.sub(r"<footer>.*</footer>", "", page.text, flags=re.DOTALL) for page in pages}
    assert len(bodies) == 1
    assert site.reasons("session.refused")[:4] == list(keys)
    assert site.records("session.opened") == []
    assert all(key not in page.text for key in keys.values() for page in pages)


async def test_guessing_is_bounded_as_on_every_listener(site):
    site.take_policy(failed_credentials_per_minute=3)
    pages = [await site.by_key("nonsense") for _ in range(5)]
    assert [each.status for each in pages] == [401, 401, 401, 429, 429]
    assert [f"in {each.headers['Retry-After']} seconds" in each.text for each in pages[3:]] == [True, True]
    assert all("Retry-After" not in each.headers for each in pages[:3])
    assert (await site.by_key(site.key("admin")[0])).status == 303  # a right one is never refused for others' guesses


async def test_a_keys_own_networks_hold_here_too(site):
    key, _ = site.key("admin", networks=("192.0.2.0/24",))
    got = await site.by_key(key)
    assert (got.status, got.cookies) == (403, ())
    assert site.reasons("session.refused") == ["key_network"]


async def test_a_key_that_is_revoked_ends_its_session(site):
    key, key_id = site.key("admin")
    cookie = cookie_of(await site.by_key(key))
    assert (await site.ask("GET", "/sessions", cookie=cookie)).status == 200
    record = site.app._keys.get(key_id)
    assert record is not None
    site.app._keys.save(replace(record, revoked_s=time.time()))
    got = await site.ask("GET", "/sessions", cookie=cookie)
    assert (got.status, got.onward) == (303, "/sign-in?ended=1")
    assert site.reasons("session.closed") == ["revoked"]


# ---- the certificate


async def test_a_certificate_gives_the_role_of_the_policy(site):
    for name, role in PEOPLE.items():
        page = await site.ask("GET", "/sessions", who=name, cookie=await site.sign_in(name))
        assert f'class="role">{role.replace("-", " ")}<' in page.text
        assert f"{name}@example.org" in page.text


async def test_nobodys_certificate_and_none_let_nobody_in(site):
    stranger = await site.ask("POST", "/sign-in/certificate", who="nobody", data={})
    assert (stranger.status, stranger.cookies) == (403, ())
    without = await site.ask("POST", "/sign-in/certificate", data={})
    assert (without.status, without.cookies) == (401, ())
    assert site.reasons("session.refused") == ["console_role_none", "no_certificate"]


async def test_the_cookie_alone_is_worth_nothing_without_its_certificate(site):
    cookie = await site.sign_in("anna")
    for who in ("", "otto", "nobody"):
        got = await site.ask("GET", "/sessions", who=who, cookie=cookie)
        assert (got.status, got.cookies) == (303, ())
    assert (await site.ask("GET", "/sessions", who="anna", cookie=cookie)).status == 200


# ---- roles, at every request


async def test_a_role_change_changes_or_ends_the_session_at_once(site):
    cookie = await site.sign_in("anna")
    changed = RoleGrant(role="team-lead", certificates=("email:anna@example.org",), teams=("two",))
    site.take_policy(roles=(changed,))
    page = await site.ask("GET", "/sessions", who="anna", cookie=cookie)
    assert 'class="role">team lead<' in page.text
    site.take_policy(roles=())
    got = await site.ask("GET", "/sessions", who="anna", cookie=cookie)
    assert (got.status, got.onward) == (303, "/sign-in?ended=1")
    assert site.reasons("session.closed") == ["console_role_none"]
    site.take_policy(roles=ROLES)
    assert (await site.ask("GET", "/sessions", who="anna", cookie=cookie)).status == 303  # over is over


async def test_a_revoked_person_is_out_at_once(site):
    cookie = await site.sign_in("anna")
    entry = Revocation(kind="actor", subject="email:anna@example.org", at_s=time.time())
    site.app._keys.revocations.revoke(entry)
    assert (await site.ask("GET", "/sessions", who="anna", cookie=cookie)).status == 303
    assert site.reasons("session.closed") == ["revoked_actor"]
    assert (await site.ask("POST", "/sign-in/certificate", who="anna", data={})).status == 403


async def test_lockdown_ends_everybody_and_a_locked_team_its_lead(site):
    auditor, lead = await site.sign_in("anna"), await site.sign_in("otto")
    site.app._keys.revocations.lock(Lockdown(team="one", since_s=time.time()))
    assert (await site.ask("GET", "/sessions", who="otto", cookie=lead)).status == 303
    assert (await site.ask("GET", "/sessions", who="anna", cookie=auditor)).status == 200
    site.app._keys.revocations.lock(Lockdown(team=ALL_TEAMS, since_s=time.time()))
    assert (await site.ask("GET", "/sessions", who="anna", cookie=auditor)).status == 303
    assert sorted(site.reasons("session.closed")) == ["lockdown_all", "lockdown_team"]


async def test_what_a_role_does_not_reach_is_refused_and_recorded(site):
    cookie = await site.sign_in("anna")
    got = await site.ask("GET", "/chat", who="anna", cookie=cookie)
    assert got.status == 403
    [record] = site.records("request.denied")
    assert record["decision"]["reason"] == "console_role_missing"
    assert record["action"]["route"] == "/chat"
    assert record["actor"]["pseudonym"]
    assert (await site.ask("GET", "/nothing", who="anna", cookie=cookie)).status == 404
    [_, unknown] = site.records("request.denied")
    assert unknown["actor"]["pseudonym"] == record["actor"]["pseudonym"]


# ---- forms


async def test_a_change_needs_the_token_of_this_session_and_our_own_origin(site):
    ada, anna = await site.sign_in("ada"), await site.sign_in("anna")
    others = await site.token("anna", anna)
    for form in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": others}):
        assert (await site.ask("POST", "/sign-out", who="ada", cookie=ada, data=form)).status == 400
    own = {"csrf": await site.token("ada", ada)}
    foreign = await site.ask(
        "POST", "/sign-out", who="ada", cookie=ada, data=own, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status == 403
    large = await site.ask("POST", "/sign-out", who="ada", cookie=ada, data=own | {"x": "y" * 70_000})
    assert large.status == 413
    assert site.records("session.closed") == []
    done = await site.ask("POST", "/sign-out", who="ada", cookie=ada, data=own)
    assert (done.status, done.onward) == (303, "/sign-in")
    assert "Max-Age=0" in done.cookies[0]
    assert (await site.ask("GET", "/sessions", who="ada", cookie=ada)).status == 303
    assert site.reasons("session.closed") == ["signed_out"]


async def test_a_person_ends_own_sessions_and_an_admin_anybodys(site):
    first, second, ada = await site.sign_in("anna"), await site.sign_in("anna"), await site.sign_in("ada")
    console = site.app._console
    assert console is not None
    names = {cookie: (await console.sessions.find(cookie)).id for cookie in (first, second, ada)}
    page = await site.ask("GET", "/sessions", who="anna", cookie=first)
    assert [names[each] in page.text for each in (first, second, ada)] == [True, True, False]

    async def end(who: str, cookie: str, name: str) -> Got:
        form = {"csrf": await site.token(who, cookie), "session": name}
        return await site.ask("POST", "/sessions/end", who=who, cookie=cookie, data=form)

    assert (await end("anna", first, names[ada])).status == 404
    assert (await end("anna", first, names[second])).onward == "/sessions"
    assert (await site.ask("GET", "/sessions", who="anna", cookie=second)).status == 303
    assert (await end("ada", ada, names[first])).onward == "/sessions"
    assert (await site.ask("GET", "/sessions", who="anna", cookie=first)).status == 303
    assert site.reasons("session.closed") == ["ended_by_person"] * 2
    assert (await end("ada", ada, names[ada])).onward == "/sign-in"


# ---- the end of a session


@pytest.mark.parametrize(
    ("age", "reason"), [({"idle_s": IDLE_S}, "session_idle"), ({"age_s": LONGEST_S}, "session_too_old")]
)
async def test_a_session_ends_by_itself(site, age, reason):
    cookie = await site.sign_in("anna")
    await site.aged(cookie, **age)
    got = await site.ask("GET", "/sessions", who="anna", cookie=cookie)
    assert (got.status, got.onward) == (303, "/sign-in?ended=1")
    assert "Max-Age=0" in got.cookies[0]
    assert site.reasons("session.closed") == [reason]


async def test_use_by_a_person_prolongs_it_and_a_scripts_questions_do_not(site):
    cookie = await site.sign_in("anna")
    await site.aged(cookie, idle_s=IDLE_S - 60)
    console = site.app._console
    assert console is not None
    before = (await console.sessions.find(cookie)).seen_s
    await site.ask("GET", "/sessions", who="anna", cookie=cookie, headers={"Sec-Fetch-Dest": "empty"})
    assert (await console.sessions.find(cookie)).seen_s == before
    await site.ask("GET", "/sessions", who="anna", cookie=cookie, headers={"Sec-Fetch-Dest": "document"})
    assert (await console.sessions.find(cookie)).seen_s > before


async def test_who_never_comes_back_is_signed_out_and_recorded_all_the_same(site):
    cookie = await site.sign_in("anna")
    await site.aged(cookie, idle_s=IDLE_S)
    console = site.app._console
    assert console is not None
    await console.console.desk.sign_in.close_dead(time.time())
    await console.console.desk.sign_in.close_dead(time.time())
    assert site.reasons("session.closed") == ["session_idle"]


async def test_an_answer_that_streams_breaks_off_when_its_role_is_gone(site):
    release = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await release.wait()
        yield b"second"

    async def stream(_visit: Visit) -> Streamed:
        return Streamed(chunks(), "text/plain")

    console = site.app._console
    assert console is not None
    route = ConsoleRoute(method="GET", path="/stream", roles=EVERY_ROLE, answer=stream)
    cookie = await site.sign_in("anna")
    object.__setattr__(console.console.desk, "table", ConsoleTable((route,), ()))
    url, headers = f"{site.origin}/stream", {"Cookie": f"__Host-corral={cookie}"}
    async with site.session.get(url, ssl=site.contexts["anna"], headers=headers) as answer:
        assert await answer.content.readexactly(5) == b"first"
        site.take_policy(roles=())
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(answer.content.read(), 30.0)
    assert not release.is_set()
    assert site.reasons("session.closed") == ["console_role_none"]


# ---- who may reach it, and what cannot be recorded


async def test_the_consoles_own_list_is_asked(site):
    cookie = await site.sign_in("anna")
    site.take_policy(listeners=ListenerNetworks(console=Networks(allow=("192.0.2.0/24",))))
    with contextlib.suppress(aiohttp.ClientError):  # an open connection is answered, a new one not even accepted
        got = await site.ask("GET", "/sessions", who="anna", cookie=cookie)
        assert got.status == 403


async def test_nobody_is_let_in_while_it_cannot_be_recorded(site, monkeypatch):
    key, _ = site.key("admin")

    async def fails(_entry: Any) -> None:
        raise AuditUnavailable("disk_full")

    monkeypatch.setattr(site.app.gate.audit._log, "record", fails)
    got = await site.by_key(key)
    assert (got.status, got.cookies) == (503, ())
    console = site.app._console
    assert console is not None
    assert await console.sessions.open_now(time.time()) == ()


async def test_a_bug_in_a_page_is_a_500_that_tells_an_id_and_nothing_else(site):
    async def broken(_visit: Visit) -> Streamed:
        raise KeyError("secret detail")

    console = site.app._console
    assert console is not None
    cookie = await site.sign_in("anna")
    route = ConsoleRoute(method="GET", path="/broken", roles=EVERY_ROLE, answer=broken)
    object.__setattr__(console.console.desk, "table", ConsoleTable((route,), ()))
    got = await site.ask("GET", "/broken", who="anna", cookie=cookie)
    assert got.status == 500
    assert "secret detail" not in got.text
    assert "01" in got.text


# ---- languages


async def test_the_language_is_the_browsers_until_one_is_chosen_and_then_kept(site):
    assert '<html lang="zh">' in (await site.ask("GET", "/sign-in", headers={"Accept-Language": "zh-CN"})).text
    cookie = await site.sign_in("anna")
    chosen = await site.ask("GET", "/sessions?lang=zh", who="anna", cookie=cookie)
    kept = await site.ask("GET", "/sessions", who="anna", cookie=cookie, headers={"Accept-Language": "en"})
    assert all('<html lang="zh">' in got.text for got in (chosen, kept))
    assert 'href="/sessions?lang=en"' in kept.text


async def test_the_status_tells_of_sessions_and_of_keys_used_to_come_in(site):
    key, _ = site.key("admin")
    await site.by_key(key)
    await site.sign_in("anna")
    told = await site.app._act("status", {}, Actor(kind="operator"))
    assert told["console"] == {"reason": "", "sessions": 2, "by_key": 1}
