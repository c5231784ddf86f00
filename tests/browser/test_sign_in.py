"""The way in and out of the console, in a real browser."""

from typing import Any

import pytest
from cryptography import x509
from playwright.sync_api import Browser

from tests.browser.console_house import ROLES, ConsoleHouse
from tests.browser.keyboard import tab_to
from tests.browser.lived_in import policy_with
from tests.browser.signing_in import begin, press, sign_in_with_key, signed_in
from tests.browser.watched import watched

pytestmark = pytest.mark.e2e


def test_the_emergency_key_opens_a_session_whose_cookie_no_script_reads(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url) as watch:
        page = watch.page()
        sign_in_with_key(page, house.admin_key)
        (cookie,) = [each for each in watch.context.cookies() if each["name"] == "__Host-corral"]
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Strict", "/")
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
        assert house.admin_key not in page.content()
        assert page.get_by_role("alert").count() >= 1, "the use of the key is told on every page"
        page.locator("form[action='/sign-out'] button").click()
        page.locator("#key").wait_for(state="attached")
        assert watch.context.cookies() == []
        page.goto("/sessions")
        assert page.locator("#key").count() == 1, "back is not in"


def test_a_wrong_key_is_told_in_one_line_and_nothing_else(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url) as watch:
        page = watch.page()
        page.goto("/")
        page.locator("summary").click()
        key = page.locator("#key")
        key.fill("corral_" + "A" * 12 + "_" + "B" * 49)
        with page.expect_response(lambda response: response.url.endswith("/sign-in/key")) as answered:
            key.press("Enter")
        page.locator("[role=alert]").wait_for()
        page.wait_for_load_state()
        watch.expect_refusal(answered.value.status)
        assert page.locator("[role=alert]").count() == 1
        assert page.locator("#key").input_value() == ""


@pytest.mark.parametrize(("person", "role"), [("ada", "admin"), ("audrey", "auditor"), ("leo", "team lead")])
def test_each_role_comes_in_through_the_provider(house: ConsoleHouse, browser: Browser, person: str, role: str) -> None:
    """With a cookie that is SameSite=Strict, from another site's page."""
    with signed_in(house, browser, person, locale="en-GB") as (_, page):
        assert page.locator(".role").inner_text() == role
        page.locator("form[action='/sign-out'] button").click()
        page.wait_for_url(lambda url: "sign" in url)
        page.goto("/sessions")
        assert page.locator("form[action='/oidc/begin']").count() == 1


def with_certificate(house: ConsoleHouse, name: str, email: str) -> dict[str, Any]:
    """The options of a context that shows `email`'s certificate. Playwright speaks TLS in the browser's place then, and
    knows nothing of the house's authority: whom the console lets in is what is asked here.
    """
    certificate, key = house.authority.issue(name, names=[x509.RFC822Name(email)])
    shown = {"origin": house.url, "certPath": certificate, "keyPath": key}
    return {"client_certificates": [shown], "ignore_https_errors": True, "locale": "en-GB"}


def test_a_certificate_opens_a_session_that_holds_where_it_is_shown(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url, **with_certificate(house, "cora", "cora@example.org")) as watch:
        page = watch.page()
        page.goto("/sign-in")
        assert "cora@example.org" in page.content()
        press(page.locator("form[action='/sign-in/certificate'] button"))
        assert page.locator(".role").inner_text() == "auditor"
        page.goto("/audit")
        assert page.locator("form[action='/sign-out']").count() == 1
        cookies = watch.context.cookies()
        assert "__Host-corral" in [each["name"] for each in cookies]
    with watched(browser, house.url, locale="en-GB") as watch:
        watch.context.add_cookies(cookies)
        page = watch.page()
        page.goto("/audit")
        assert page.locator("form[action='/sign-out']").count() == 0, "the cookie alone is worth nothing"
        watch.faults[:] = [each for each in watch.faults if "status of 40" not in each]


def test_a_certificate_that_the_policy_gives_no_role_stays_outside(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url, **with_certificate(house, "norbert", "norbert@example.org")) as watch:
        page = watch.page()
        page.goto("/sign-in")
        press(page.locator("form[action='/sign-in/certificate'] button"))
        page.locator("[role=alert]").wait_for()
        watch.expect_refusal(403)
        page.goto("/audit")
        assert page.locator("form[action='/sign-out']").count() == 0
        watch.faults[:] = [each for each in watch.faults if "status of 40" not in each]


def test_who_has_no_role_is_told_so_and_stays_outside(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url, house.provider["issuer"], locale="en-GB") as watch:
        page = watch.page()
        begin(page, "nora")
        page.locator("[role=alert]").wait_for()
        watch.expect_refusal(403)
        page.goto("/")
        assert page.locator("form[action='/sign-out']").count() == 0


def test_a_role_that_is_taken_away_ends_the_session_at_once(house: ConsoleHouse, browser: Browser) -> None:
    with signed_in(house, browser, "leo", locale="en-GB") as (watch, page):
        page.goto("/keys")
        house.change_policy(policy_with(roles=ROLES[:2]))
        try:
            answer = page.goto("/keys")
            assert answer is not None
            assert page.get_by_role("table").count() == 0
            if answer.status >= 400:
                watch.expect_refusal(answer.status)
        finally:
            house.change_policy(policy_with())


def test_the_way_in_by_the_keyboard_alone(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url) as watch:
        page = watch.page()
        page.goto("/")
        tab_to(page, "Sign in with an API key", "summary")
        page.keyboard.press("Enter")
        tab_to(page, "API key", "input")
        page.keyboard.type(house.admin_key)
        page.keyboard.press("Enter")
        page.locator("form[action='/sign-out']").wait_for()


def test_a_form_of_another_origin_opens_nothing(house: ConsoleHouse, browser: Browser) -> None:
    """A page elsewhere that posts into a signed-in browser: refused, and nothing is done."""
    with watched(browser, house.url, house.corral.url) as watch:
        page = watch.page()
        sign_in_with_key(page, house.admin_key)
        before = house.act("keys.list")
        page.goto(f"{house.corral.url}/")
        page.evaluate(
            """(target) => {
                 const form = document.createElement("form");
                 form.method = "post"; form.action = target;
                 document.body.append(form);
                 setTimeout(() => form.submit());
               }""",
            f"{house.url}/keys/new",
        )
        page.wait_for_url(f"{house.url}/keys/new")
        assert page.locator("form[action='/sign-out']").count() == 0
        assert house.act("keys.list") == before
        watch.faults[:] = [each for each in watch.faults if "status of 40" not in each]
