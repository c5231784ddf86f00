"""Signing in to the console at a real identity provider: the good way, and every attack on it.

Gateway, console and provider are real, over TLS on loopback; only the browsers are made of a few lines.
"""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.console.oidc.login_store import OwnLogins
from policies.console.oidc_pending import MAX_OF_NETWORK
from policies.console.session import Proof, Session
from policies.credentials.revocation import Revocation
from policies.errors import AuditUnavailable, PolicyUnavailable
from tests.flow.console_visitors import LOGIN, SESSION, ConsoleSite, Got, console_site, query_of
from tests.oidc_provider import KEY, Misconduct
from tests.tokens import b64, header, pem

pytestmark = pytest.mark.slow


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ConsoleSite]:
    async with console_site(tmp_path) as found:
        yield found


async def require_refused(site: ConsoleSite, got: Got, reason: str, *, status: int = 401) -> None:
    """No session, recorded, and the sign-in is used up, if there was one."""
    assert (got.status, site.refusals()[-1]) == (status, reason)
    assert not any(cookie.startswith(f"{SESSION}=") for cookie in got.cookies)
    forgotten = any(cookie.startswith(f"{LOGIN}=;") for cookie in got.cookies)
    assert forgotten is (reason not in {"oidc_state", "oidc_browser"})
    assert await site.sessions() == 0


def forget_document(site: ConsoleSite) -> None:
    """As if ten minutes had passed since the provider's document was fetched, and its last fault were long ago."""
    assert site.app._console is not None
    assert site.app._console.provider is not None
    link = site.app._console.provider.link
    link._fetched_s = link._failed_s = float("-inf")


# ---- the good way


@pytest.mark.parametrize(("person", "role"), [("ada", "admin"), ("audrey", "auditor"), ("leo", "team lead")])
async def test_a_person_is_let_in_with_the_role_of_their_groups(site: ConsoleSite, person: str, role: str) -> None:
    browser = site.browser()
    got = await browser.sign_in(person)
    assert (got.status, got.onward) == (200, "/")
    assert set(browser.cookies) == {SESSION}
    page = await browser.get(got.onward)
    assert page.status == 200
    assert person in page.text
    assert role in page.text
    (record,) = site.records("session.opened")
    assert (record["actor"]["method"], record["actor"]["issuer"]) == ("oidc", site.provider.issuer)
    assert record["actor"]["client_id"] == "console"


async def test_what_leaves_the_browser_and_the_gateway_is_what_the_specifications_say(site: ConsoleSite) -> None:
    browser = site.browser()
    url = await browser.begin()
    asked = query_of(url)
    assert url.startswith(f"{site.provider.issuer}/authorize?")
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert asked["redirect_uri"] == f"{site.origin}/oidc/callback"
    await browser.get(await browser.choose(url, "ada"), cross_site=True)
    ((form, authorization),) = site.provider.redeeming
    assert authorization.startswith("Basic ")
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id"}
    assert form["code_verifier"] not in url


async def test_the_strict_cookie_reaches_the_console_by_a_step_of_its_own(site: ConsoleSite) -> None:
    """A redirect from the callback would still be the provider's navigation, and the browser would leave it behind."""
    browser = site.browser()
    got = await browser.sign_in("ada")
    assert got.status == 200
    assert "Location" not in got.headers
    assert browser.cookies[SESSION][1] == "Strict"
    assert (await browser.get("/sessions", cross_site=True)).headers["Location"].startswith("/sign-in")
    assert (await browser.get(got.onward)).status == 200


async def test_a_role_that_the_policy_takes_ends_the_session_at_the_next_request(site: ConsoleSite) -> None:
    browser = site.browser()
    await browser.sign_in("ada")
    assert (await browser.get("/sessions")).status == 200
    site.take_policy(roles=())
    assert (await browser.get("/sessions")).headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    ("person", "reason"), [("nora", "console_role_none"), ("both", "console_admin_and_auditor_together")]
)
async def test_who_is_proven_but_has_no_role(site: ConsoleSite, person: str, reason: str) -> None:
    got = await site.browser().sign_in(person)
    await require_refused(site, got, reason, status=403)
    (record,) = site.records("session.refused")
    assert record["actor"]["issuer"] == site.provider.issuer
    assert f"u-{person}" in got.text


async def test_who_was_revoked_is_told_apart_from_who_was_not_proven(site: ConsoleSite) -> None:
    await site.browser().sign_in("ada")
    at_s = time.time() + 60
    site.app._keys.revocations.revoke(Revocation(kind="actor", subject="u-ada", at_s=at_s, by="berta"))
    browser = site.browser()
    got = await browser.sign_in("ada")
    assert got.status == 403
    assert "u-ada" in got.text
    assert SESSION not in browser.cookies


async def test_a_store_that_is_away_is_not_the_providers_fault(site: ConsoleSite) -> None:
    class Away(OwnLogins):
        async def put(self, *_: Any) -> None:
            raise PolicyUnavailable("login_store_timeout")

        take = put  # type: ignore[assignment]

    console = site.app._console
    assert console is not None
    assert console.provider is not None
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")
    route = console.console.desk.table.match("GET", "/oidc/callback").opened
    assert route is not None
    object.__setattr__(route.answer.__self__, "logins", Away())  # type: ignore[attr-defined]
    assert (await browser.get(back, cross_site=True)).status == 503
    assert (await browser.post("/oidc/begin")).status == 503
    assert site.refusals() == ["login_store_timeout"]


async def test_what_is_secret_is_in_no_record(site: ConsoleSite) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")
    login, code, state = browser.cookies[LOGIN][0], query_of(back)["code"], query_of(back)["state"]
    await browser.get(back, cross_site=True)
    await browser.get(back, cross_site=True)
    written = "".join(file.read_text() for file in site.audit.glob("**/*.jsonl"))
    secrets = (login, code, state, browser.cookies[SESSION][0], site.provider.client_secret)
    assert "session.opened" in written
    assert not [each for each in secrets if each in written]


# ---- the way back: state, cookie, time, issuer


async def test_a_state_of_another_browser_is_worth_nothing(site: ConsoleSite) -> None:
    """Login CSRF: the attacker's own sign-in, finished in the victim's browser."""
    attacker, victim = site.browser(), site.browser()
    back = await attacker.choose(await attacker.begin(), "leo")
    await victim.begin()
    await require_refused(site, await victim.get(back, cross_site=True), "oidc_state")
    bare = site.browser()
    await require_refused(site, await bare.get(back, cross_site=True), "oidc_browser")
    assert site.provider.redeeming == []


async def test_what_another_tab_or_site_brings_does_not_end_a_sign_in(site: ConsoleSite) -> None:
    browser = site.browser()
    first = await browser.choose(await browser.begin(), "leo")
    second = await browser.choose(await browser.begin(), "ada")
    await require_refused(site, await browser.get(first, cross_site=True), "oidc_state")
    await require_refused(site, await browser.get("/oidc/callback?error=access_denied", cross_site=True), "oidc_state")
    assert (await browser.get(second, cross_site=True)).onward == "/"


async def test_a_way_back_is_used_once(site: ConsoleSite) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")
    cookie = browser.cookies[LOGIN]
    assert (await browser.get(back, cross_site=True)).status == 200
    browser.cookies[LOGIN] = cookie
    got = await browser.get(back, cross_site=True)
    assert (got.status, site.refusals()) == (401, ["oidc_state"])
    assert len(site.provider.redeeming) == 1


async def test_a_stolen_code_is_worth_nothing_in_another_sign_in(site: ConsoleSite) -> None:
    """Code injection (RFC 9700 section 4.5): PKCE stops it at the provider, and the nonce where PKCE is not checked."""
    for checks_pkce, reason in ((True, "oidc_code"), (False, "oidc_nonce")):
        site.provider.misconduct = Misconduct(checks_pkce=checks_pkce)
        victim, attacker = site.browser(), site.browser()
        stolen = query_of(await victim.choose(await victim.begin(), "ada"))["code"]
        own = query_of(await attacker.choose(await attacker.begin(), "leo"))["state"]
        url = f"/oidc/callback?code={stolen}&state={own}&iss={site.provider.issuer}"
        await require_refused(site, await attacker.get(url, cross_site=True), reason)


async def test_a_code_that_was_used_before(site: ConsoleSite) -> None:
    """The provider that forgets to refuse a second use is caught by the nonce: it belongs to the first sign-in."""
    for once, pkce, reason in ((True, True, "oidc_code"), (False, True, "oidc_code"), (False, False, "oidc_nonce")):
        site.provider.misconduct = Misconduct(once=once, checks_pkce=pkce)
        first, second = site.browser(), site.browser()
        back = await first.choose(await first.begin(), "nora")
        await first.get(back, cross_site=True)
        own = query_of(await second.choose(await second.begin(), "ada"))["state"]
        url = f"/oidc/callback?code={query_of(back)['code']}&state={own}&iss={site.provider.issuer}"
        await require_refused(site, await second.get(url, cross_site=True), reason)


WAYS_BACK: tuple[tuple[Callable[[dict[str, str]], dict[str, str]], str], ...] = (
    (lambda good: {**good, "iss": "https://evil.example"}, "oidc_mix_up"),
    (lambda good: {name: value for name, value in good.items() if name != "iss"}, "oidc_mix_up"),
    (lambda good: {**good, "state": good["state"][:-1] + "!"}, "oidc_state"),
    (lambda good: {**good, "state": ""}, "oidc_state"),
    (lambda good: {**good, "state": good["state"][::-1]}, "oidc_state"),
    (lambda good: {**good, "error": "access_denied"}, "oidc_denied"),
    (lambda good: {**good, "error": "<script>alert(1)</script>"}, "oidc_error"),
    (lambda good: {**good, "code": "x" * 5000}, "oidc_form"),
    (lambda good: {**good, "code": ""}, "oidc_form"),
    (lambda good: {**good, "code": "guessed"}, "oidc_code"),
)


async def test_ways_back_that_are_wrong(site: ConsoleSite) -> None:
    for change, reason in WAYS_BACK:
        site.provider.misconduct.callback = change
        got = await site.browser().sign_in("ada")
        await require_refused(site, got, reason)
        assert "alert(1)" not in got.text
        assert "code=" not in got.text
    assert site.refusals() == [reason for _, reason in WAYS_BACK]


async def test_a_parameter_that_stands_twice_is_refused(site: ConsoleSite) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")
    got = await browser.get(f"{back}&code=other", cross_site=True)
    assert got.status == 400
    assert await site.sessions() == 0
    assert site.provider.redeeming == []


async def test_a_sign_in_that_took_too_long(site: ConsoleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")
    later_ns = time.time_ns() + 601 * 10**9
    monkeypatch.setattr(site.app.gate.clock, "unix_ns", lambda: later_ns, raising=False)
    await require_refused(site, await browser.get(back, cross_site=True), "oidc_late")


# ---- the tokens


def other(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda good: {name: value for name, value in {**good, **changes}.items() if value is not ...}


def at(iat_s: int, exp_s: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Issued and ending so many seconds from the moment of the sign-in."""
    return lambda good: {**good, "iat": good["iat"] + iat_s, "exp": good["iat"] + exp_s}


ALG_NONE = '{"alg":"none","typ":"JWT"}'
TOKENS: dict[str, tuple[Misconduct, str]] = {
    "another nonce": (Misconduct(claims=other(nonce="n" * 43)), "oidc_nonce"),
    "no nonce": (Misconduct(claims=other(nonce=...)), "oidc_nonce"),
    "for another": (Misconduct(claims=other(aud="other")), "jwt_audience"),
    "for others too": (Misconduct(claims=other(aud=["corral-console", "other"])), "jwt_audience"),
    "given to another": (Misconduct(claims=other(azp="other")), "oidc_client"),
    "of another issuer": (Misconduct(claims=other(iss="https://evil.example")), "jwt_issuer"),
    "expired": (Misconduct(claims=at(-900, -600)), "jwt_expired"),
    "old": (Misconduct(claims=at(-3600, 3600)), "oidc_old"),
    "from the future": (Misconduct(claims=at(3600, 7200)), "jwt_from_the_future"),
    "without an end": (Misconduct(claims=other(exp=...)), "jwt_claim_missing"),
    "without a subject": (Misconduct(claims=other(sub=...)), "jwt_claim_missing"),
    "with another access token": (Misconduct(claims=other(at_hash=b64(b"x" * 16))), "oidc_hash"),
    "with another code": (Misconduct(claims=other(c_hash=b64(b"x" * 16))), "oidc_hash"),
    "with groups pointed to": (Misconduct(claims=other(_claim_names={"groups": "s"})), "jwt_group_overage"),
    "of another key": (Misconduct(key="rsa-evil"), "jwt_signature"),
    "of an unknown key": (Misconduct(head=lambda good: {**good, "kid": "evil"}), "jwt_key"),
    "alg none": (Misconduct(token=lambda good: f"{b64(ALG_NONE)}.{good.split('.')[1]}."), "jwt_form"),
    "alg none, signed": (
        Misconduct(token=lambda good: f"{b64(ALG_NONE)}.{good.split('.', 1)[1]}"),
        "jwt_algorithm",
    ),
    "an access token": (Misconduct(head=lambda good: {**good, "typ": "at+jwt"}), "jwt_typ"),
    "its key in the header": (Misconduct(head=lambda good: {**good, "jku": "https://evil.example"}), "jwt_header"),
    "no token": (Misconduct(answer=other(id_token=...)), "oidc_form"),
    "no bearer": (Misconduct(answer=other(token_type="mac")), "oidc_form"),
    "a list for a token": (Misconduct(answer=other(id_token=["a"])), "oidc_form"),
}


async def test_tokens_that_are_wrong(site: ConsoleSite) -> None:
    for name, (misconduct, reason) in TOKENS.items():
        site.provider.misconduct = misconduct
        got = await site.browser().sign_in("ada")
        assert site.refusals()[-1] == reason, name
        await require_refused(site, got, reason, status=403 if reason == "jwt_group_overage" else 401)
    assert len(site.refusals()) == len(TOKENS)
    site.provider.misconduct = Misconduct()
    assert (await site.browser().sign_in("ada")).onward == "/"


@pytest.mark.parametrize("secret", ["client_secret", "public key"])
async def test_a_token_signed_with_a_shared_secret(site: ConsoleSite, secret: str) -> None:
    """HS256 by the client's secret (authentik without a key), or by the public key (the classic confusion)."""
    key = site.provider.client_secret.encode() if secret == "client_secret" else pem(KEY)

    def forge(good: str) -> str:
        signing = f"{b64(json.dumps(header(KEY, 'HS256', typ='JWT')))}.{good.split('.')[1]}"
        return f"{signing}.{b64(hmac.digest(key, signing.encode(), hashlib.sha256))}"

    site.provider.misconduct.token = forge
    await require_refused(site, await site.browser().sign_in("ada"), "jwt_algorithm")


# ---- the provider


DOCUMENTS = (
    other(code_challenge_methods_supported=["plain"]),
    other(token_endpoint="https://evil.example/token"),
    other(authorization_endpoint="https://evil.example/authorize"),
    other(authorization_endpoint="javascript:alert(1)"),
    other(issuer="https://evil.example"),
    other(response_types_supported=["token"]),
)


async def test_a_provider_that_may_not_be_used(site: ConsoleSite) -> None:
    for document in DOCUMENTS:
        site.provider.misconduct.document = document
        forget_document(site)
        browser = site.browser()
        page = await browser.post("/oidc/begin")
        assert (page.status, page.onward) == (503, "")
        assert "evil" not in page.text
        assert browser.cookies == {}
    assert site.provider.redeeming == []
    assert site.provider.asked["/.well-known/openid-configuration"] == len(DOCUMENTS)


async def test_while_the_provider_is_away_open_sessions_go_on(site: ConsoleSite) -> None:
    inside, outside = site.browser(), site.browser()
    await inside.sign_in("ada")
    back = await outside.choose(await outside.begin(), "leo")
    site.provider.misconduct.down = True
    got = await outside.get(back, cross_site=True)
    assert (got.status, site.refusals()) == (503, ["oidc_away"])
    assert (await inside.get("/sessions")).status == 200
    site.provider.misconduct.down = False
    assert (await outside.sign_in("leo")).onward == "/"


async def test_what_cannot_be_recorded_opens_nothing(site: ConsoleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.begin(), "ada")

    async def refuse(*_: object) -> None:
        raise AuditUnavailable("audit_enospc")

    monkeypatch.setattr(site.app.gate.audit, "session", refuse)
    got = await browser.get(back, cross_site=True)
    assert got.status == 503
    assert SESSION not in browser.cookies
    assert await site.sessions() == 0
    got = await browser.get("/oidc/callback?state=x", cross_site=True)
    assert got.status == 503


# ---- bounds


async def test_failed_ways_back_count_as_guesses(site: ConsoleSite) -> None:
    site.take_policy(failed_credentials_per_minute=3)
    browser = site.browser()
    statuses = [(await browser.get("/oidc/callback?state=x", cross_site=True)).status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert (await browser.sign_in("ada")).onward == "/", "who is proven is never refused for others' guesses"


async def test_sign_ins_that_nobody_finishes_push_out_their_own_alone(site: ConsoleSite) -> None:
    first = site.browser()
    back = await first.choose(await first.begin(), "ada")
    for _ in range(MAX_OF_NETWORK):
        await site.browser().begin()
    await require_refused(site, await first.get(back, cross_site=True), "oidc_state")
    assert (await first.sign_in("ada")).onward == "/"


async def test_another_site_can_neither_begin_a_sign_in_nor_end_one(site: ConsoleSite) -> None:
    browser = site.browser()
    got = await browser._ask("POST", "/oidc/begin", {"Origin": "https://evil.example"}, strict=False)
    assert (got.status, browser.cookies) == (403, {})
    assert (await browser.get("/oidc/begin", cross_site=True)).status != 200
    assert (await browser.get("/oidc/leave?hint=x", cross_site=True)).onward == ""


# ---- the way out


async def test_signing_out_ends_both_sessions(site: ConsoleSite) -> None:
    browser = site.browser()
    await browser.sign_in("ada")
    token = (await browser.get("/sessions")).text.partition('name="csrf" value="')[2].partition('"')[0]
    got = await browser.post("/sign-out", csrf=token)
    assert got.status == 303
    assert got.headers["Location"].startswith("/oidc/leave?hint=ey")
    assert SESSION not in browser.cookies
    assert await site.sessions() == 0
    page = await browser.get(got.headers["Location"])
    asked = query_of(page.onward)
    assert page.onward.startswith(f"{site.provider.issuer}/logout?")
    assert asked["post_logout_redirect_uri"] == f"{site.origin}/oidc/signed-out"
    assert asked["client_id"] == site.provider.client_id
    assert asked["id_token_hint"].count(".") == 2
    assert (await browser.get("/oidc/signed-out")).status == 200


async def test_a_provider_without_an_end_of_session_leaves_it_at_ours(site: ConsoleSite) -> None:
    site.provider.misconduct.document = other(end_session_endpoint=...)
    browser = site.browser()
    await browser.sign_in("ada")
    page = await browser.get("/oidc/leave?hint=x")
    assert (page.status, page.onward) == (200, "")


async def test_signing_out_while_the_provider_is_away_ends_ours(site: ConsoleSite) -> None:
    browser = site.browser()
    await browser.sign_in("ada")
    site.provider.misconduct.down = True
    forget_document(site)
    page = await browser.get("/oidc/leave?hint=x")
    assert (page.status, page.onward) == (200, "")


async def test_who_came_by_another_way_leaves_by_the_sign_in_page(site: ConsoleSite) -> None:
    assert site.app._console is not None
    proof = Proof(method="break_glass", subject="olga", key_id="k")
    session = Session(id="s", proof=proof, opened_s=0.0, seen_s=0.0)
    assert site.app._console.console.desk.sign_in.goes_to(session) == "/sign-in"


async def test_both_languages_have_every_page(site: ConsoleSite) -> None:
    for path in ("/oidc/signed-out", "/oidc/callback?state=x"):
        pages = [
            (await site.browser().get(f"{path}{'&' if '?' in path else '?'}lang={lang}")).text for lang in ("en", "zh")
        ]
        assert pages[0] != pages[1]
        assert '<html lang="zh">' in pages[1]
