"""From a page of the console into the request flow of every client: the same steps, limits, queue and records.

The page's own request was proven by the console's flow: address, session, role, origin, form. What is handed on is a
request of its own with a session for its one credential, which step 5 proves anew. It carries the facts of the
connection and the headers that steps 0 and 1 read; of the rest of the browser's headers (cookie, origin, languages)
none, so that nothing of them can decide anything or stand in a record.

What ends a session ends the answer that it is being given, within LOOK_S.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog
from msgspec import structs

from gateway.console.page import Answer, HandedOn, Page
from gateway.gate import Gate
from gateway.incoming import Header, Incoming, Reply
from gateway.request import handle
from policies.access import ListenerName
from policies.credentials.credential import SessionCredential
from policies.errors import BodyTooLarge, NotAuthenticated, NotAuthorized, PolicyUnavailable, Refused, Revoked

log = structlog.get_logger("corral.gateway")

LOOK_S = 1.0
KEPT_HEADERS = frozenset({b"host", b"x-forwarded-for", b"forwarded"})
"""What the listener's door and the client's address are judged by."""
OWN_HEADERS: tuple[Header, ...] = ((b"Content-Type", b"application/json"), (b"X-Queue-Events", b"1"))
"""A streamed answer tells of the wait as it changes."""
TAKEN_HEADERS = frozenset({"retry-after", "retry-after-ms"})
"""Of an answer that is taken whole into a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The session that the page was asked with: its id, and the cookie that proves it.

    `look` raises Refused once the session, or what its owner may, is over; it is asked every LOOK_S.
    """

    session: str
    cookie: str = field(repr=False)
    look: Callable[[], Awaitable[None]]


class HandedIncoming:
    """The request that is handed on, in place of the page's own `outer`."""

    method = "POST"

    def __init__(self, outer: Incoming, handed: HandedOn, session: SessionCredential) -> None:
        kept = tuple(header for header in outer.headers if header[0].lower() in KEPT_HEADERS)
        length = (b"Content-Length", str(len(handed.body)).encode())
        self.target, self.http_version = handed.target, outer.http_version
        self.headers: tuple[Header, ...] = (*kept, *OWN_HEADERS, length)
        self.peer, self.via, self.local, self.tls = outer.peer, outer.via, outer.local, outer.tls
        self.listener: ListenerName = outer.listener
        self.session: SessionCredential | None = session
        self._body = handed.body

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:  # noqa: ARG002 (it is there)
        """See `gateway.incoming.Incoming`."""
        if len(self._body) > limit_bytes:
            raise BodyTooLarge("body_over_cap", limit_bytes=limit_bytes)
        return self._body


class WholeReply:
    """Takes an answer whole. `outer` says whether there is still somebody to answer."""

    def __init__(self, outer: Reply) -> None:
        self.started = False
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self._outer = outer
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """All of it so far; what one answer may hold is bounded by its tokens."""
        return b"".join(self._parts)

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `gateway.incoming.Reply`. Of the headers those are kept that the page does not have by itself."""
        self.started, self.status = True, status
        self.headers = tuple(header for header in headers if header[0].lower() in TAKEN_HEADERS)

    async def write(self, data: bytes) -> None:
        """See `gateway.incoming.Reply`."""
        self._parts.append(data)

    async def end(self) -> None:
        """See `gateway.incoming.Reply`."""

    def closed(self) -> bool:
        """See `gateway.incoming.Reply`."""
        return self._outer.closed()


async def hand_on(gate: Gate, outer: Incoming, reply: Reply, shown: Shown, handed: HandedOn) -> None:
    """Let the request flow answer on `reply`. Raises only CancelledError, once it is recorded."""
    session = SessionCredential(shown.cookie, handed.team)
    async with _ended_with(gate, shown, handed.team):
        await handle(gate, HandedIncoming(outer, handed, session), reply)


async def whole_answer(gate: Gate, outer: Incoming, reply: Reply, shown: Shown, handed: HandedOn) -> Answer:
    """What `handed.then` makes of the flow's answer. `reply` is not written to."""
    if handed.then is None:
        raise TypeError("what is to be streamed is not taken whole")
    taken = WholeReply(reply)
    await hand_on(gate, outer, taken, shown, handed)
    answer = handed.then(taken.status, taken.body)
    return structs.replace(answer, headers=taken.headers) if isinstance(answer, Page) else answer


@contextlib.asynccontextmanager
async def _ended_with(gate: Gate, shown: Shown, team: str) -> AsyncIterator[None]:
    """Cut what the session is being answered as soon as it, or its owner's standing, is over or cannot be told."""
    asked = ("session", shown.session, team)

    def cut(watching: asyncio.Task[None]) -> None:
        if not watching.cancelled():
            cause = cause_to_cut(watching.exception())
            gate.running.cut_where(lambda found: cause if (found.kind, found.jti, found.team) == asked else None)

    watching = asyncio.create_task(_watch(shown))
    watching.add_done_callback(cut)
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(shown: Shown) -> None:
    """Ends only by what `look` raises."""
    while True:
        await asyncio.sleep(LOOK_S)
        await shown.look()


def cause_to_cut(found: BaseException | None) -> Refused:
    """What an answer ends with, by what a look at its session raised; a look that failed is a refusal too."""
    if isinstance(found, NotAuthenticated | NotAuthorized):
        return Revoked("session_over_while_running")
    if isinstance(found, Refused):
        return found
    log.error("session_not_watched", exc_info=found)
    return PolicyUnavailable("session_not_watched")
