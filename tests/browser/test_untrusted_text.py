"""The Big List of Naughty Strings in records and through every field: nothing of it runs, all of it is text.

What a model writes is test_chat's.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import naughty
from tests.browser.console_house import ConsoleHouse
from tests.browser.every_page import ADMIN, AUDITOR, PAGES
from tests.browser.lived_in import Happened
from tests.browser.signing_in import signed_in
from tests.browser.watched import Watched

pytestmark = pytest.mark.e2e
EVERY_NTH = 12
"""Of the strings that could do something; `make prove P=console_strings` takes all 515."""


@pytest.fixture(scope="module")
def admin(house: ConsoleHouse, browser: Browser, happened: Happened) -> Iterator[tuple[Watched, Page]]:
    with signed_in(house, browser, ADMIN, locale="en-GB") as signed:
        yield signed


def test_in_records(house: ConsoleHouse, admin: tuple[Watched, Page], happened: Happened) -> None:
    watch, page = admin
    strings = naughty.live_strings()
    assert 200 not in naughty.as_models(house, happened.texts["ward"], strings[::EVERY_NTH])
    made = naughty.into_records(house, "clinic", strings)
    assert len(made["ids"]) > len(strings) / 2
    for address in naughty.shown_at("clinic", made["ids"][::EVERY_NTH]):
        page.goto(address)
        naughty.look(watch, page)
    page.goto(f"/keys/{made['ids'][0]}")
    assert strings[0] in page.locator("main").inner_text()
    for key_id in made["ids"]:
        house.act("keys.revoke", id=key_id, reason="end of the test")


def test_in_every_field(admin: tuple[Watched, Page], happened: Happened) -> None:
    watch, page = admin
    texts = naughty.joined(naughty.live_strings(), 240)[::EVERY_NTH]
    addresses = [shown.of(happened) for shown in PAGES.values() if shown.person == ADMIN]
    told = naughty.through_fields(watch, page, addresses, texts)
    assert told["forms"] >= 8, told


def test_in_the_remark_of_a_review(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    (text, *_) = naughty.joined([each for each in naughty.live_strings() if each.startswith("<")], 240)
    with signed_in(house, browser, AUDITOR, locale="en-GB") as (watch, page):
        page.goto("/audit?event=policy.changed&since=1h")
        (index,) = [index for index, action in naughty.forms_of(page).items() if action == "/audit/review"]
        naughty.submit(page, index, text)
        naughty.look(watch, page)
        page.goto("/audit?event=audit.reviewed&since=1h")
        naughty.look(watch, page)
        assert "<script>alert(123)</script>" in page.locator("main").inner_text()
