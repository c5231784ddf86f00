"""A key's life by clicks: made and shown once, used, replaced, ended; each step in the log, its text nowhere."""

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.console_house import ConsoleHouse
from tests.browser.every_page import ADMIN
from tests.browser.lived_in import WARD, Happened
from tests.browser.signing_in import press, signed_in
from tests.canaries import places_of

pytestmark = pytest.mark.e2e


def test_a_key_from_its_making_to_its_end(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, ADMIN, locale="en-GB") as (_, page):
        key_id, key = make(page)
        assert house.chat(key, address=WARD).status == 200
        page.goto(f"/keys/{key_id}")
        assert WARD in page.locator("main").inner_text()
        successor_id, successor = replace(page)
        assert house.chat(successor, address=WARD).status == 200
        page.goto(f"/keys/{key_id}")
        assert "being replaced" in page.locator("main").inner_text()
        end(page, key_id)
        assert house.chat(key, address=WARD).status == 401
        story = told(page, key_id)
        for event in ("key.created", "key.rotated", "key.revoked", "request.completed", "request.unauthenticated"):
            assert event in story, event
        nowhere(page, house, key_id, key, successor)
        house.act("keys.revoke", id=successor_id, reason="end of the test")


def make(page: Page) -> tuple[str, str]:
    """Through the form; the id and the text, as the page shows them this once."""
    page.goto("/keys")
    press(page.get_by_role("button", name="Create a key").or_(page.get_by_role("link", name="Create a key")))
    page.get_by_label("Team").select_option("clinic")
    page.get_by_label("Owner").fill("Priya Nair")
    page.get_by_label("Purpose").fill("discharge letters")
    page.get_by_label("Reason").fill("new project")
    press(page.get_by_role("button", name="Create a key"))
    return shown_once(page)


def shown_once(page: Page) -> tuple[str, str]:
    key = page.locator("#secret").inner_text()
    key_id = key.split("_")[1]
    press(page.get_by_role("link", name="To this key's page"))
    assert key not in page.content()
    page.go_back()
    assert key not in page.content(), "the way back shows it again"
    return key_id, key


def replace(page: Page) -> tuple[str, str]:
    page.get_by_label("Overlap").fill("1h")
    press(page.get_by_role("button", name="Rotate"))
    return shown_once(page)


def end(page: Page, key_id: str) -> None:
    section = page.locator(f"form[action='/keys/revoke/{key_id}']")
    section.get_by_label("Reason").fill("replaced")
    section.get_by_label("Yes, end it for ever").check()
    press(section.get_by_role("button", name="Revoke"))
    assert "revoked" in page.locator("main").inner_text()


def told(page: Page, key_id: str) -> str:
    """What the log says of it, by the link on its page."""
    page.goto(f"/keys/{key_id}")
    press(page.get_by_role("link", name="What was done with this key and to it"))
    return page.locator("main").inner_text()


def nowhere(page: Page, house: ConsoleHouse, key_id: str, *texts: str) -> None:
    """The keys' texts are on no page, and in no file of the home."""
    for address in ("/keys", f"/keys/{key_id}", f"/audit/key/{key_id}", "/audit?since=24h", "/teams/clinic", "/"):
        page.goto(address)
        assert not [text for text in texts if text in page.content()], address
    secrets = [text.rpartition("_")[2][:43] for text in texts]
    assert [place for secret in secrets for place in places_of(secret, house.corral.home)] == []
