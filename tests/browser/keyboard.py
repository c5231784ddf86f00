"""A person without a mouse: moves by Tab, sees where they are, and presses Enter."""

from playwright.sync_api import Page

MOST_STOPS = 400
"""More than any page of the console has; whoever has not arrived by then walks in circles."""
FOCUSED = """
() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), style = getComputedStyle(it);
  return {
    name: (it.getAttribute("aria-label") || it.labels?.[0]?.innerText || it.innerText || it.value || "").trim(),
    tag: it.tagName.toLowerCase(),
    inside: it.closest("main") ? "main" : it.closest("nav") ? "nav" : "",
    seen: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 && style.visibility === "visible",
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none",
  };
}
"""


class Stop(dict[str, str]):
    """Where the focus is: its name as a screen reader would say it, its tag, and what it stands in."""


def tab(page: Page) -> Stop:
    """One Tab; fails where the eye cannot follow."""
    page.keyboard.press("Tab")
    found = page.evaluate(FOCUSED)
    if found["tag"] != "body":  # the end of the page: the next Tab begins anew
        assert found["seen"], f"the focus is on something that is not to be seen: {found}"
        assert found["marked"], f"nothing shows that the focus is here: {found}"
    return Stop({name: found[name] for name in ("name", "tag", "inside")})


def tab_to(page: Page, name: str, tag: str = "") -> Stop:
    """Tab on until what is called `name` (or begins so) has the focus."""
    passed: list[Stop] = []
    for _ in range(MOST_STOPS):
        stop = tab(page)
        if stop["name"].startswith(name) and tag in ("", stop["tag"]):
            return stop
        passed.append(stop)
    raise AssertionError(f"nothing called {name!r} is reached by Tab; there are {[each['name'] for each in passed]}")


def all_stops(page: Page) -> list[Stop]:
    """Everything that Tab reaches from the page's beginning to its end."""
    stops: list[Stop] = []
    for _ in range(MOST_STOPS):
        stop = tab(page)
        if stop["tag"] == "body" or (stops and stop == stops[0]):
            return stops
        stops.append(stop)
    raise AssertionError(f"Tab finds no end on {page.url}")
