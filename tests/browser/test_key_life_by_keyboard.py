"""A key's whole life without a mouse: made, seen in use, replaced with both keys valid, reviewed, ended."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_house import ConsoleHouse
from tests.browser.every_page import ADMIN
from tests.browser.keyboard import tab_to
from tests.browser.lived_in import WARD, Happened
from tests.browser.signing_in import signed_in

pytestmark = pytest.mark.e2e


def test_a_keys_life_by_keyboard(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, ADMIN, locale="en-GB") as (_, page):
        first = make(page)
        expect(page.locator("main")).to_contain_text("not used yet")
        assert house.chat(first, address=WARD).status == 200
        second = rotate(page, first)
        assert [house.chat(key, address=WARD).status for key in (first, second)] == [200, 200]
        open_key(page, second)
        expect(page.locator("dl.facts").first).to_contain_text(WARD)
        review(page)
        revoke(page)
        assert [house.chat(key, address=WARD).status for key in (first, second)] == [200, 401]
        open_key(page, first)
        revoke(page)
        assert house.chat(first, address=WARD).status == 401


def press(page: Page, name: str, tag: str) -> None:
    tab_to(page, name, tag)
    page.keyboard.press("Enter")


def type_into(page: Page, name: str, text: str) -> None:
    """The field is chosen by Tab, which marks all of its text, so that typing replaces it."""
    tab_to(page, name, "input")
    page.keyboard.type(text)


def make(page: Page) -> str:
    """From the first page by menu and form; ends on the new key's own page."""
    page.goto("/")
    press(page, "Keys", "a")
    page.wait_for_url("**/keys")
    press(page, "Create a key", "a")
    page.wait_for_url("**/keys/new")
    tab_to(page, "Team", "select")
    page.keyboard.type("clinic")
    type_into(page, "Purpose", "rounds")
    press(page, "Create a key", "button")
    return shown_once(page)


def shown_once(page: Page) -> str:
    page.locator("#secret").wait_for()
    key = page.locator("#secret").inner_text()
    press(page, "To this key's page", "a")
    page.locator("dl.facts").first.wait_for()
    assert key not in page.content()
    return key


def rotate(page: Page, old: str) -> str:
    open_key(page, old)
    type_into(page, "Overlap", "2h")
    press(page, "Rotate", "button")
    return shown_once(page)


def review(page: Page) -> None:
    type_into(page, "Next review in", "30d")
    press(page, "Note the review", "button")
    expect(page.locator("main")).to_contain_text(re.compile(r"Review due\s*20"))


def revoke(page: Page) -> None:
    tab_to(page, "Yes, end it for ever", "input")
    page.keyboard.press("Space")
    press(page, "Revoke", "button")
    expect(page.locator("main")).to_contain_text("State: revoked")


def open_key(page: Page, key: str) -> None:
    """By the list and its search."""
    key_id = key.split("_")[1]
    page.goto("/keys")
    type_into(page, "Search", key_id)
    page.keyboard.press("Enter")
    page.wait_for_url("**/keys?*")
    press(page, key_id, "a")
    page.wait_for_url(f"**/keys/{key_id}")
