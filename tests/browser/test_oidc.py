"""Signing in at an identity provider of another site, in a real browser: its own rules on cookies and forms hold."""

import pytest
from playwright.sync_api import Browser, Page, Request

from tests.browser import axe
from tests.browser.console_house import ConsoleHouse
from tests.browser.signing_in import MODES, press, sign_in
from tests.browser.watched import watched

pytestmark = pytest.mark.e2e


def begin(page: Page) -> None:
    page.goto("/sign-in")
    page.locator("form[action='/oidc/begin'] button").click()
    page.locator("button[value='ada']").wait_for()


def choose(page: Page, person: str) -> None:
    press(page.locator(f"button[value='{person}']"))


def test_the_strict_cookie_is_sent_although_another_site_sent_the_browser(
    house: ConsoleHouse, browser: Browser
) -> None:
    asked: list[Request] = []
    with watched(browser, house.url, house.provider["issuer"]) as watch:
        page = watch.page()
        begin(page)
        (login,) = [each for each in watch.context.cookies(house.url) if each["name"] == "__Host-corral-oidc"]
        assert (login["httpOnly"], login["secure"], login["sameSite"]) == (True, True, "Lax")
        page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 (Playwright marks what it is given)
        choose(page, "ada")
        page.locator("form[action='/sign-out']").wait_for()
        (cookie,) = watch.context.cookies(house.url)
        assert (cookie["name"], cookie["sameSite"]) == ("__Host-corral", "Strict")
        pages = [each for each in asked if each.is_navigation_request() and each.url.startswith(house.url)]
        sites = {each.url.removeprefix(house.url).partition("?")[0]: each.all_headers() for each in pages}
        assert sites["/oidc/callback"]["sec-fetch-site"] == "cross-site"
        assert sites["/"]["sec-fetch-site"] == "same-origin"
        assert cookie["value"] in sites["/"]["cookie"]


def test_a_step_straight_from_another_site_would_have_lost_it(house: ConsoleHouse, browser: Browser) -> None:
    """The counter-proof: what a redirect from the callback would have met."""
    with watched(browser, house.url, house.provider["issuer"]) as watch:
        page = watch.page()
        sign_in(page, "ada")
        page.goto(f"{house.provider['issuer']}/keys")
        page.evaluate("(there) => { location.href = there }", f"{house.url}/sessions")
        page.wait_for_url(f"{house.url}/sign-in**")
        page.goto("/sessions")
        page.locator("form[action='/sign-out']").wait_for()


def test_signing_out_goes_by_the_provider_and_comes_back(house: ConsoleHouse, browser: Browser) -> None:
    asked: list[str] = []
    with watched(browser, house.url, house.provider["issuer"]) as watch:
        page = watch.page()
        sign_in(page, "leo")
        page.on("request", lambda request: asked.append(request.url))
        page.locator("form[action='/sign-out'] button").click()
        page.wait_for_url(f"{house.url}/oidc/signed-out")
        assert page.locator("h1").count() == 1
        (logout,) = [url for url in asked if url.startswith(f"{house.provider['issuer']}/logout?")]
        assert "id_token_hint=" in logout
        assert watch.context.cookies(house.url) == []


@pytest.mark.parametrize("language", sorted(MODES))
def test_the_pages_between_can_be_read_and_left_by_hand(house: ConsoleHouse, browser: Browser, language: str) -> None:
    """A browser that goes nowhere by itself: the provider's first answer leaves it where it is (204)."""
    there = f"{house.provider['issuer']}/authorize**"
    with watched(browser, house.url, house.provider["issuer"], locale=MODES[language]) as watch:
        watch.context.add_init_script(path=str(axe.ENGINE))
        page = watch.page()
        page.route(there, lambda route: route.fulfill(status=204))
        page.goto("/sign-in")
        page.locator("form[action='/oidc/begin'] button").click()
        page.locator("main a").wait_for()
        assert page.locator("html").get_attribute("lang") == language
        assert axe.findings(page) == []
        page.unroute(there)
        page.locator("main a").click()
        choose(page, "ada")
        page.locator("form[action='/sign-out']").wait_for()


@pytest.mark.parametrize(("person", "status", "shown"), [("nora", 403, "u-nora"), ("nobody", 401, "")])
def test_who_is_not_let_in_reads_why(
    house: ConsoleHouse, browser: Browser, person: str, status: int, shown: str
) -> None:
    with watched(browser, house.url, house.provider["issuer"]) as watch:
        watch.context.add_init_script(path=str(axe.ENGINE))
        page = watch.page()
        begin(page)
        choose(page, person)
        page.locator("[role=alert]").wait_for()
        watch.expect_refusal(status)
        assert shown in page.content()
        assert axe.findings(page) == []
        assert watch.context.cookies(house.url) == []
        page.locator("main a[href='/sign-in']").click()
        page.locator("form[action='/oidc/begin']").wait_for()


def test_of_two_tabs_the_later_sign_in_holds(house: ConsoleHouse, browser: Browser) -> None:
    with watched(browser, house.url, house.provider["issuer"]) as watch:
        first, second = watch.page(), watch.page()
        begin(first)
        begin(second)
        choose(first, "ada")
        first.locator("[role=alert]").wait_for()
        watch.expect_refusal(401)
        choose(second, "ada")
        second.locator("form[action='/sign-out']").wait_for()
