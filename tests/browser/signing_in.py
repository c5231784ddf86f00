"""How people come into the console in tests, by what they see and press."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from tests.browser.console_house import ConsoleHouse
from tests.browser.watched import Watched, watched

MODES = {"en": "en-GB", "zh": "zh-CN"}
"""What a browser asks for, by the language that the console has."""


def press(what: Locator) -> None:
    """Click, and wait until the page that it leads to is there whole: a click alone waits for its first bytes."""
    what.click()
    what.page.wait_for_load_state()


@contextmanager
def signed_in(
    house: ConsoleHouse, browser: Browser, person: str, *scripts: str, **options: Any
) -> Iterator[tuple[Watched, Page]]:
    """A watched context in which `person` of the provider is signed in, with `scripts` (files) on every page."""
    with watched(browser, house.url, house.provider["issuer"], **options) as watch:
        for script in scripts:
            watch.context.add_init_script(path=script)
        page = watch.page()
        sign_in(page, person)
        yield watch, page


def sign_in(page: Page, person: str) -> None:
    """Through the identity provider, to the first page of the console."""
    begin(page, person)
    page.locator("form[action='/sign-out']").wait_for()


def begin(page: Page, person: str) -> None:
    """To the provider, whose page has a button for each person, and back to us."""
    page.goto("/sign-in")
    page.locator("form[action='/oidc/begin'] button").click()
    page.locator(f"button[value='{person}']").click()
    page.wait_for_url(lambda url: "/authorize" not in url)


def sign_in_with_key(page: Page, key: str) -> None:
    """By the emergency way: an API key with the scope admin."""
    page.goto("/sign-in")
    if not page.locator("#key").is_visible():
        page.locator("summary").click()
    page.locator("#key").fill(key)
    page.locator("form[action='/sign-in/key'] button").click()
    page.locator("form[action='/sign-out']").wait_for()
