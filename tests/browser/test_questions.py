"""The reviewer's three questions, answered by clicks alone, and what a reviewer hands on afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console_house import HELPER, ConsoleHouse
from tests.browser.every_page import AUDITOR
from tests.browser.lived_in import LAB, STRANGER, WARD, Happened
from tests.browser.signing_in import press, signed_in
from tests.browser.yesterday import YESTERDAYS, YESTERDAYS_STRANGER

pytestmark = pytest.mark.e2e
VERIFIED_WITHIN_MS = 60_000
RECORDS = "Records, newest first"
ADDED_UP = "Added up: who, why and how often"


@pytest.fixture(scope="module")
def auditor(house: ConsoleHouse, browser: Browser, happened: Happened) -> Iterator[Page]:
    with signed_in(house, browser, AUDITOR, locale="en-GB", accept_downloads=True) as (_, page):
        yield page


def ask(page: Page, question: str) -> None:
    open_audit(page)
    press(page.get_by_role("link", name=question, exact=True))


def open_audit(page: Page) -> None:
    press(page.get_by_role("navigation", name="Parts of the console").get_by_role("link", name="Audit"))


def rows(page: Page, caption: str) -> list[str]:
    """The text of a table's rows."""
    table = page.get_by_role("table", name=caption, exact=True)
    return [row.inner_text() for row in table.locator("tbody tr").all()]


def test_who_was_refused_and_why(auditor: Page, happened: Happened) -> None:
    ask(auditor, "Refused in the last 24 hours")
    refused = rows(auditor, RECORDS)
    for key, told in {
        "lab": "team_network",
        "trial": "the key's time is over",
        "lost": "the key was revoked",
    }.items():
        assert any(happened.ids[key] in row and told in row for row in refused), (key, refused)
    assert any(STRANGER in row for row in refused)
    assert any("over a limit" in row and happened.ids["night"] in row for row in refused)
    added_up = rows(auditor, ADDED_UP)
    assert any("over a limit" in row and "nightly" in row and int(row.split()[0]) >= 2 for row in added_up), added_up
    assert not any(key in row for key in YESTERDAYS for row in refused)


def test_who_was_refused_yesterday_and_why(auditor: Page, happened: Happened) -> None:
    ask(auditor, "Refused yesterday")
    refused = rows(auditor, RECORDS)
    assert len(refused) == len(YESTERDAYS)
    for key, told in YESTERDAYS.items():
        (row,) = (row for row in refused if key in row)
        assert told in row
        assert YESTERDAYS_STRANGER in row
    added_up = rows(auditor, ADDED_UP)
    assert sorted(int(row.split()[0]) for row in added_up) == [1, 1], "none of today's is among them"
    auditor.get_by_role("table", name=RECORDS, exact=True).locator("tbody th a").first.click()
    assert YESTERDAYS_STRANGER in auditor.locator("main").inner_text()


def test_what_did_this_key_do_and_from_where(auditor: Page, happened: Happened) -> None:
    open_audit(auditor)
    auditor.get_by_label("Key id").fill(happened.ids["ward"])
    press(auditor.get_by_role("button", name="Search", exact=True))
    press(auditor.get_by_role("table", name=RECORDS, exact=True).get_by_role("link", name=happened.ids["ward"]).first)
    addresses = {row.split()[0]: row.split()[1] for row in rows(auditor, "Addresses, the most used first")}
    assert set(addresses) >= {WARD, LAB}, addresses
    did = "\n".join(rows(auditor, "Its newest records"))
    for event in ("key.created", "key.reviewed", "request.completed"):
        assert event in did
    press(auditor.get_by_role("table", name="Its newest records").get_by_role("link", name="request").first)
    whole = auditor.locator("main").inner_text()
    assert happened.ids["ward"] in whole
    assert HELPER in whole
    assert "request.authorized" in whole
    assert "request.completed" in whole


def test_who_changed_the_policy_and_what(auditor: Page) -> None:
    ask(auditor, "Who changed the policy, and what")
    changes = "\n".join(rows(auditor, RECORDS))
    assert "teams.guests" in changes
    assert "teams.research.weight" in changes
    auditor.get_by_role("table", name=RECORDS, exact=True).locator("tbody th a").first.click()
    auditor.get_by_role("heading", name="What changed").wait_for()
    auditor.wait_for_load_state()
    what = auditor.get_by_role("table", name="Changes of").inner_text()
    assert "teams.guests" in what
    assert "Not anchored off this host".lower() in auditor.locator(".proof").inner_text().lower()


def test_the_record_leaves_with_its_proof(auditor: Page, house: ConsoleHouse, tmp_path: Path) -> None:
    ask(auditor, "Who changed the policy, and what")
    press(auditor.get_by_role("table", name=RECORDS, exact=True).locator("tbody th a").last)
    with auditor.expect_download() as coming:
        auditor.get_by_role("link", name="Download the proof").click()
    kept = tmp_path / coming.value.suggested_filename
    coming.value.save_as(kept)
    assert kept.stat().st_size > 0


def test_what_was_found_is_exported_and_signed_off(auditor: Page, house: ConsoleHouse, tmp_path: Path) -> None:
    ask(auditor, "Who changed the policy, and what")
    auditor.get_by_text("Export", exact=True).click()
    with auditor.expect_download() as coming:
        auditor.get_by_role("button", name="Download").click()
    kept = tmp_path / "export"
    coming.value.save_as(kept)
    records = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [each["event"] for each in records].count("policy.changed") >= 2
    auditor.get_by_text("Sign off this review", exact=True).first.click()
    auditor.get_by_label("Remark").fill("both changes were asked for in OPS-311")
    press(auditor.get_by_role("button", name="Sign off this review"))
    ask(auditor, "Who read the log")
    read = "\n".join(rows(auditor, RECORDS))
    for event in ("audit.exported", "audit.reviewed", "audit.searched", "audit.viewed"):
        assert event in read, event


def test_the_whole_log_is_verified_by_a_click(auditor: Page) -> None:
    ask(auditor, "How far the log is proven")
    auditor.get_by_role("button", name="Verify the whole log now").click()
    expect(auditor.locator("main")).to_contain_text("Every line was checked up to seq", timeout=VERIFIED_WITHIN_MS)
    assert "Whole." in auditor.locator("main").inner_text()


def test_another_team_is_not_there_for_its_neighbours_lead(
    house: ConsoleHouse, browser: Browser, happened: Happened
) -> None:
    with signed_in(house, browser, "leo", locale="en-GB") as (watch, page):
        page.goto("/audit?since=24h")
        found = page.locator("main").inner_text()
        assert "clinic" not in found
        assert happened.ids["ward"] not in page.content()
        for address in (f"/keys/{happened.ids['ward']}", "/teams/clinic", f"/audit/request/{happened.served}"):
            answer = page.goto(address)
            assert answer is not None
            assert answer.status in (403, 404)
            watch.expect_refusal(answer.status)
            assert "Dr Amara Obi" not in page.content()
