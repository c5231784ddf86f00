"""The chat as a person uses it: the answer as it is written, markup as text, a way to stop. And the live overview."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_house import HELPER, PRANKSTER, ConsoleHouse
from tests.browser.every_page import ADMIN, LEAD
from tests.browser.lived_in import Happened
from tests.browser.signing_in import signed_in

pytestmark = pytest.mark.e2e

DONE = re.compile("Done: [0-9]+ tokens of prompt, [0-9]+ of answer")


def test_a_lead_asks_as_the_team_and_goes_on_from_the_answer(
    house: ConsoleHouse, browser: Browser, happened: Happened
) -> None:
    with signed_in(house, browser, LEAD, locale="en-GB") as (_, page):
        page.goto("/chat")
        assert [each.inner_text() for each in page.locator("#model option").all()] == [HELPER]
        ask(page, "When does it open?")
        expect(page.locator("#turns .answered .said")).to_have_text("The ward opens at seven.")
        ask(page, "And then?")
        expect(page.locator("#turns li")).to_have_count(4)
        page.goto("/chat")
        expect(page.locator("#turns li")).to_have_count(0)


def test_what_a_model_writes_is_text(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    for scripts in (True, False):
        with signed_in(house, browser, ADMIN, locale="en-GB", java_script_enabled=scripts) as (_, page):
            page.goto("/chat?team=clinic")
            page.locator("#model").select_option(PRANKSTER)
            page.locator("#question").fill("<b>Hi</b>")
            page.locator("#send").click()
            said = page.locator("#turns .answered .said").last
            expect(said).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(2)><b>bold</b>")
            expect(page.locator("#turns .asked .said")).to_have_text("<b>Hi</b>")
            assert page.locator("#turns b, #turns img, #turns script").count() == 0


def test_without_a_script_the_conversation_goes_on_as_pages(
    house: ConsoleHouse, browser: Browser, happened: Happened
) -> None:
    with signed_in(house, browser, LEAD, locale="en-GB", java_script_enabled=False) as (_, page):
        page.goto("/chat")
        for count in (2, 4):
            page.locator("#question").fill("When?")
            page.locator("#send").click()
            expect(page.locator("#turns li")).to_have_count(count)
        expect(page.locator("#turns .answered .said").last).to_have_text("The ward opens at seven.")


def test_a_refusal_is_told_and_the_question_kept(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, ADMIN, locale="en-GB") as (watch, page):
        page.goto("/chat?team=nightly")
        for _ in range(4):
            page.locator("#question").fill("Again?")
            page.locator("#send").click()
            expect(page.locator("#send")).to_be_enabled()
            if "Try again in" in page.locator("#chat-state").inner_text():
                break
        expect(page.locator("#chat-state")).to_contain_text("Try again in")
        expect(page.locator("#question")).to_have_value("Again?")
        watch.expect_refusal(429)


def test_an_answer_can_be_stopped(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, ADMIN, locale="en-GB") as (_, page):
        page.goto("/chat?team=clinic")
        page.route("**/chat/stream", lambda _route: None)  # an answer that does not come
        page.locator("#question").fill("When?")
        page.locator("#send").click()
        page.locator("#stop").click()
        expect(page.locator("#chat-state")).to_contain_text("Stopped.")
        expect(page.locator("#question")).to_have_value("When?")
        page.unroute_all()


def test_a_session_that_is_over_is_told(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, LEAD, locale="en-GB") as (watch, page):
        page.goto("/chat")
        watch.context.clear_cookies()
        page.locator("#question").fill("When?")
        page.locator("#send").click()
        expect(page.locator("#chat-state")).to_contain_text("the session is over")
        expect(page.locator("#question")).to_have_value("When?")
        watch.expect_refusal(401)


def test_the_overview_keeps_up_with_what_is_asked(house: ConsoleHouse, browser: Browser, happened: Happened) -> None:
    with signed_in(house, browser, ADMIN, locale="en-GB") as (_, page):
        page.goto("/")
        expect(page.locator("#live-state")).to_contain_text("Up to date")
        expect(page.locator("#charts figure .chart canvas").nth(3)).to_be_visible()
        assert page.locator("#teams tr").count() >= 1


def ask(page: Page, question: str) -> None:
    page.locator("#question").fill(question)
    page.locator("#send").click()
    expect(page.locator("#chat-state")).to_have_text(DONE)
