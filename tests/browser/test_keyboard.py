"""The console without a mouse: everything is reached by Tab, seen where it is, and done with Enter."""

import pytest
from playwright.sync_api import Browser

from tests.browser.console_house import ConsoleHouse
from tests.browser.every_page import AUDITOR, PAGES
from tests.browser.keyboard import all_stops, tab, tab_to
from tests.browser.lived_in import Happened
from tests.browser.signing_in import signed_in

pytestmark = pytest.mark.e2e
EVERYTHING = """
() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")].filter(
  (it) => !it.disabled && it.checkVisibility() && it.tabIndex >= 0).length
"""


def test_from_the_menu_to_a_record_and_its_request(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, AUDITOR, locale="en-GB") as (_, page):
        page.goto("/")
        assert tab(page)["name"] == "Skip to the content"
        tab_to(page, "Audit", "a")
        page.keyboard.press("Enter")
        page.wait_for_url("**/audit")
        assert tab(page)["name"] == "Skip to the content"
        page.keyboard.press("Enter")
        assert tab(page)["inside"] == "main", "the menu is skipped"
        tab_to(page, "Key id", "input")
        page.keyboard.type(happened.ids["ward"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/audit?*")
        tab_to(page, "request", "a")
        page.keyboard.press("Enter")
        page.wait_for_url("**/audit/request/*")


@pytest.mark.parametrize("name", ["overview", "audit_refused", "key_active", "access", "chat", "policy_explain"])
def test_everything_that_can_be_pressed_is_reached(
    house: ConsoleHouse, browser: Browser, happened: Happened, name: str
) -> None:
    shown = PAGES[name]
    with signed_in(house, browser, shown.person, locale="en-GB") as (_, page):
        page.goto(shown.of(happened))
        radios = page.locator("input[type=radio]").count()
        assert len(all_stops(page)) >= page.evaluate(EVERYTHING) - radios
