"""Each page of the console in a real browser: for people who cannot see it, on a small screen, in both languages."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import axe
from tests.browser.console_house import ConsoleHouse
from tests.browser.every_page import ADMIN, AUDITOR, LEAD, PAGES, REFUSED
from tests.browser.lived_in import Happened
from tests.browser.signing_in import MODES, signed_in
from tests.browser.watched import Watched, watched

pytestmark = pytest.mark.e2e
WIDE, SMALL = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
SIDEWAYS = """
() => {
  const wide = document.documentElement.clientWidth;
  const held = (it) => { for (let up = it.parentElement; up && up !== document.body; up = up.parentElement)
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return true; return false; };
  const out = [...document.body.querySelectorAll("*")].filter(
    (it) => it.getBoundingClientRect().right > wide + 1 && !held(it) && it.getClientRects().length);
  return out.slice(0, 5).map((it) => it.outerHTML.slice(0, 120)).concat(
    document.documentElement.scrollWidth > wide ? [`the page is ${document.documentElement.scrollWidth} wide`] : []);
}
"""
"""What sticks out of a narrow window, but for what scrolls inside a container of its own."""

LEFT_OUT = {"/audit/proof/*"}
"""Downloads."""
Looking = dict[str, tuple[Watched, Page]]


@pytest.fixture(scope="module", params=sorted(MODES))
def looking(request: pytest.FixtureRequest, house: ConsoleHouse, browser: Browser) -> Iterator[Looking]:
    """Three people signed in, in one language; axe is on every page that they open."""
    locale = MODES[request.param]
    with (
        signed_in(house, browser, ADMIN, str(axe.ENGINE), locale=locale, viewport=WIDE) as admin,
        signed_in(house, browser, AUDITOR, str(axe.ENGINE), locale=locale, viewport=WIDE) as auditor,
        signed_in(house, browser, LEAD, str(axe.ENGINE), locale=locale, viewport=WIDE) as lead,
    ):
        yield {ADMIN: admin, AUDITOR: auditor, LEAD: lead, "": (admin[0], admin[1])}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(looking: Looking, happened: Happened, name: str) -> None:
    watch, page = looking[PAGES[name].person]
    answer = page.goto(PAGES[name].of(happened))
    assert answer is not None
    assert answer.status == REFUSED.get(name, 200), page.locator("main").inner_text()
    judge(page)
    assert links(page) <= {shape(shown.of(happened)) for shown in PAGES.values()} | LEFT_OUT, "nobody looks at it here"
    if name in REFUSED:
        watch.expect_refusal(REFUSED[name])
    assert watch.faults == []


@pytest.mark.parametrize("language", sorted(MODES))
def test_so_is_the_sign_in(house: ConsoleHouse, browser: Browser, language: str) -> None:
    with watched(browser, house.url, locale=MODES[language], viewport=WIDE) as watch:
        watch.context.add_init_script(path=str(axe.ENGINE))
        page = watch.page()
        for address in ("/sign-in", "/sign-in?ended=1", "/oidc/signed-out"):
            page.goto(address)
            judge(page)


def judge(page: Page) -> None:
    """axe in the light and in the dark, and a narrow window without a bar at its bottom."""
    page.emulate_media(color_scheme="light")
    found = axe.findings(page)
    page.emulate_media(color_scheme="dark")
    found += [f"in the dark: {each}" for each in axe.findings(page, "color-contrast")]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(SMALL)
    found += [f"at 360 px: {each}" for each in page.evaluate(SIDEWAYS)]
    page.set_viewport_size(WIDE)
    found += [f"h1: {page.locator('h1').count()}"] if page.locator("h1").count() != 1 else []
    assert not found, "\n".join(found)


def links(page: Page) -> set[str]:
    """Where the page's links lead, by shape."""
    return set(map(shape, page.evaluate("() => [...document.links].map((each) => each.href)")))


def shape(address: str) -> str:
    """The path, with a star for its item."""
    parts = urlsplit(address).path.split("/")
    items = {"record", "request", "key", "proof"}
    if len(parts) == 4 and parts[1] == "audit" and parts[2] in items:
        return f"/audit/{parts[2]}/*"
    if len(parts) == 3 and parts[1] in ("keys", "teams") and parts[2] != "new":
        return f"/{parts[1]}/*"
    return urlsplit(address).path


def test_the_engine_is_the_one_that_was_written_down() -> None:
    assert {name: axe.sha256(axe.FOLDER / name) for name in axe.vendored_sha256()} == axe.vendored_sha256()
