"""`make screenshots`: a picture of each page of the console in build/screenshots, for people to look at.

Light and dark, 360 px wide, and in Chinese. The house is one that was lived in (`lived_in`), under some load, so that
no page is empty.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.browser.console_house import HELPER, ConsoleHouse, open_house
from tests.browser.every_page import ADMIN, AUDITOR, LEAD, PAGES, REFUSED
from tests.browser.lived_in import Happened, live, policy_with
from tests.browser.signing_in import signed_in
from tests.browser.watched import watched

FOLDER = Path(__file__).resolve().parents[2] / "build" / "screenshots"
WIDE = {"viewport": {"width": 1280, "height": 900}}
VIEWS: dict[str, dict[str, Any]] = {
    "light": {**WIDE, "locale": "en-GB", "color_scheme": "light"},
    "dark": {**WIDE, "locale": "en-GB", "color_scheme": "dark"},
    "360px": {"viewport": {"width": 360, "height": 740}, "locale": "en-GB", "color_scheme": "light"},
    "chinese": {**WIDE, "locale": "zh-CN", "color_scheme": "light"},
}
CALLERS = 5
LIVE_FOR_S = 25.0
"""Two steps of the overview's charts."""


def main() -> None:
    """Makes the house, looks at every page in every view, and says where the pictures are."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder), policy_with()) as house:
        happened = live(house, policy_with())
        with chromium(*house.certificates) as browser, busy(house, happened) as warmed:
            warmed.wait(LIVE_FOR_S)
            for view, options in VIEWS.items():
                take_all(house, browser, happened, view, options)
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}")  # noqa: T201


@contextmanager
def busy(house: ConsoleHouse, happened: Happened) -> Iterator[threading.Event]:
    """Callers of two teams ask until the block ends; more of them than there are slots. Nobody sets the event."""
    over = threading.Event()

    def call(number: int) -> None:
        while not over.is_set():
            house.chat(happened.texts["ward" if number % 2 else "lab"], HELPER, address="127.0.0.7")
            over.wait(1)  # below what a key may ask in a minute

    with ThreadPoolExecutor(CALLERS) as callers:
        for number in range(CALLERS):
            callers.submit(call, number)
        try:
            yield threading.Event()
        finally:
            over.set()


def take_all(house: ConsoleHouse, browser: Browser, happened: Happened, view: str, options: dict[str, Any]) -> None:
    """One picture of each page."""
    with ExitStack() as open_now:
        page = open_now.enter_context(watched(browser, house.url, **options)).page()
        page.goto("/sign-in")
        take(page, "sign_in", view)
        people = {
            person: open_now.enter_context(signed_in(house, browser, person, **options))
            for person in (ADMIN, AUDITOR, LEAD)
        }
        for name, shown in PAGES.items():
            watch, page = people[shown.person]
            answer = page.goto(shown.of(happened))
            assert answer is not None
            assert answer.status == REFUSED.get(name, 200), f"{name}: {answer.status}\n{house.corral.log()[-4000:]}"
            take(page, name, view)
            watch.faults.clear()  # the tests judge; here a page that was refused is a picture like the others
        talk(people[LEAD][1])
        take(people[LEAD][1], "chat_answered", view)
        make_key(people[ADMIN][1])
        take(people[ADMIN][1], "key_shown_once", view)


def talk(page: Page) -> None:
    """One question and its answer."""
    page.goto("/chat")
    page.locator("#question").fill("When does the ward open?")
    page.locator("#send").click()
    page.locator("#send:enabled").wait_for()


def make_key(page: Page) -> None:
    """The page that shows a key this once."""
    page.goto("/keys/new")
    page.locator("main form[method=post] button").last.click()
    page.locator("#secret").wait_for()


def take(page: Page, name: str, view: str) -> None:
    """The whole page, once its charts are drawn."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.{view}.png", full_page=True)


if __name__ == "__main__":
    main()
