"""A browser context under watch: what no page of the console may ever do is noted as it happens.

Noted are: a dialog, an error or warning in the browser's own console, an exception of a script, a refusal by the
content security policy, and a request to anything but the origins that were named.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, WebError

from tests.browser.chromium import PATIENCE_MS

REPORT_REFUSALS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy refused ${event.violatedDirective} ${event.blockedURI} ${event.sample}`), true);
"""
LOOK_MS = 50
STATUS_TOLD = "Failed to load resource: the server responded with a status of "
"""What Chromium writes of a page that is answered with a 4xx: no fault where the refusal is what is tested."""


class Watched:
    """One context and what was noted of it."""

    def __init__(self, context: BrowserContext, origins: tuple[str, ...]) -> None:
        self.context = context
        self.faults: list[str] = []
        self._origins = origins
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(REPORT_REFUSALS)
        context.on("dialog", self._dialog)
        context.on("console", self._console)
        context.on("weberror", self._exception)
        context.on("request", self._request)

    def page(self) -> Page:
        return self.context.new_page()

    def expect_refusal(self, status: int) -> None:
        """Take back what the browser says of one answer with `status`, some time after the page has it."""
        for _ in range(PATIENCE_MS // LOOK_MS):
            told = [each for each in self.faults if f"{STATUS_TOLD}{status}" in each]
            if told:
                self.faults.remove(told[0])
                return
            self.context.pages[0].wait_for_timeout(LOOK_MS)
        raise AssertionError(f"no answer was a {status}: {self.faults}")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        url = str(message.location.get("url", ""))
        others_icon = url.endswith("/favicon.ico") and not url.startswith(self._origins[0])
        if message.type in ("error", "warning") and not others_icon:
            self.faults.append(f"{message.type} at {url}: {message.text}")

    def _exception(self, error: WebError) -> None:
        self.faults.append(f"exception: {error.error}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" not in self._origins:
            self.faults.append(f"request beyond the origin: {request.url}")


@contextmanager
def watched(browser: Browser, *origins: str, **options: Any) -> Iterator[Watched]:
    """A fresh context, closed at the end; fails when anything was noted that nobody expected."""
    # Nothing moves, so that what is measured is what stays.
    context = browser.new_context(base_url=origins[0], reduced_motion="reduce", **options)
    try:
        found = Watched(context, origins)
        yield found
        assert not found.faults, found.faults
    finally:
        context.close()
