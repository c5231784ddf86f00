"""A home with a log to be reviewed, and somebody who looks at it: the real pages, index, acts and templates.

The acts' records are kept in a list in place of the running gateway's log, which has tests of its own.
"""

import asyncio
import secrets
from contextlib import closing
from functools import cache, partial
from typing import Any

from gateway.admin.act import ActContext
from gateway.admin.admin_acts import perform
from gateway.audit.index.reviewed_spans import changes_of
from gateway.console.assets import load_assets
from gateway.console.page import Answer, ConsoleRoute, Page, Turned, Visit
from gateway.console.pages.audit import routes
from gateway.console.rendering import Frame, Rendering
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from policies.audit_record import Actor, Change, Decision, Stamp, admin_record
from policies.console.viewer import Role, Viewer
from policies.policy import Policy
from tests.fakes import ManualClock

NOW_US = 1_606_219_200_000_000
"""2020-11-24T12:00:00Z, before every record that is made while a test runs."""


@cache
def rendering() -> Rendering:
    """Compiled once."""
    return Rendering(load_assets())


class House:
    """One home's audit pages. `entries` are the records that were written for looks and acts."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.clock = ManualClock()
        self.entries: list[dict[str, Any]] = []
        self.refuses_records: Exception | None = None
        self.acts_alone = True
        self._routes = {(each.method, each.path): each for each in routes(self)}  # type: ignore[arg-type]
        self._rendering = rendering()

    async def perform(self, visit: Visit, act_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The world's: the act as the viewer."""
        with closing(KeyStore.open(self.home.keys)) as keys:
            context = ActContext(
                keys=keys,
                policy=Policy(teams={}),
                peppers=dict,
                random_bytes=secrets.token_bytes,
                stamp=self._stamp(),
                actor=visit.viewer.actor,
                record=self._record,
                changes_of=partial(changes_of, self.home),
            )
            return await perform(act_name, arguments, context)

    async def settle(self) -> None:
        """The world's: nothing writes here meanwhile."""

    async def record(self, visit: Visit, event: str, change: Change) -> None:
        """The world's."""
        await self._record(admin_record(event, self._stamp(), visit.viewer.actor, change, Decision(effect="allow")))

    def get(self, path: str, query: dict[str, str] | None = None, **who: Any) -> "Seen":
        """What a page answers to somebody."""
        return self._seen("GET", path, query or {}, {}, who)

    def post(self, path: str, form: dict[str, str], **who: Any) -> "Seen":
        """What a form is answered."""
        return self._seen("POST", path, {}, form, who)

    def events(self) -> list[str]:
        """Of all records that were written."""
        return [entry["event"] for entry in self.entries]

    def route(self, method: str, path: str) -> tuple[ConsoleRoute, str]:
        """The route of a path, and its item."""
        exact = self._routes.get((method, path))  # type: ignore[call-overload]
        if exact is not None:
            return exact, ""
        folder, _, item = path.rpartition("/")
        return self._routes[method, f"{folder}/{{item}}"], item  # type: ignore[index]

    def _seen(self, method: str, path: str, query: dict[str, str], form: dict[str, str], who: dict[str, Any]) -> "Seen":
        route, item = self.route(method, path)
        viewer = viewer_of(**{name: value for name, value in who.items() if name != "lang"})
        visit = Visit(
            viewer=viewer,
            path=path,
            item=item,
            query=query,
            form=form,
            client="127.0.0.1",
            lang=who.get("lang", "en"),
            now_us=NOW_US,
            request_id="req-1",
        )
        viewer.require_role(*route.roles)
        answer = asyncio.run(route.answer(visit))  # type: ignore[arg-type]
        return Seen(self._rendering, visit, answer)

    async def _record(self, entry: dict[str, Any]) -> None:
        if self.refuses_records is not None:
            raise self.refuses_records
        self.entries.append(entry)

    def _stamp(self) -> Stamp:
        return Stamp(NOW_US, 1, "boot")


class Seen:
    """An answer, and its text where it is a page."""

    def __init__(self, rendering: Rendering, visit: Visit, answer: Answer) -> None:
        self.answer = answer
        self.status = answer.status if isinstance(answer, Page) else 200
        self.text = ""
        if isinstance(answer, Page):
            frame = Frame(lang=visit.lang, path=visit.path, viewer=visit.viewer, query=visit.query, now_us=visit.now_us)
            self.text = rendering.page(answer, frame).decode()


def viewer_of(
    role: Role = "auditor", teams: set[str] | None = None, person: str = "rita", kind: Any = "subject"
) -> Viewer:
    """Somebody signed in."""
    actor = Actor(kind=kind, name=person, issuer="https://idp.example", method="oidc", id="s1")
    seen = None if teams is None else frozenset(teams)
    return Viewer(person=person, actor=actor, role=role, teams=seen, session="s1", csrf="token")


__all__ = ["NOW_US", "House", "Seen", "Turned", "viewer_of"]
