"""The console's one straight flow. The numbers are those of docs/console.md.

 (0) the strict edge, and a Host that is ours       (1) the client's address, through trusted proxies
 (2) the lists: global, and the console's own       (3) the route, by exact path
 (4) own pages only: Origin, Sec-Fetch-Site         (5) session -> who it is, or the sign-in page
 (6) role and teams, by the policy in force now     (7) the form, bounded, and its token
 (8) the page; what it reads of the log or changes is recorded before it is shown
 (9) the answer, with the security headers

Another site's page is turned away before a store is read for it. Each step raises what the next must not be reached
with. `handle` is the boundary: every error becomes a page that says no more than its kind, once it is recorded.
"""

import contextlib
from dataclasses import dataclass
from functools import partial

from engine.errors import EngineError
from gateway.admin.act import ActRefused
from gateway.console.answering import Answering
from gateway.console.asked import Asked, Desk
from gateway.console.handing_on import Shown, hand_on, whole_answer
from gateway.console.page import Answer, Elsewhere, HandedOn, OpenRoute, Turned
from gateway.console.reading import read_address_line, read_arrival, read_visit
from gateway.console.refusals import Told, told
from gateway.console.sessions import COOKIE
from gateway.console.standing import KEEPS_SESSION, find_session, find_viewer, keep_session, still_stands
from gateway.exchange import Exchange
from gateway.http.edge import check_edge
from gateway.incoming import ClientGone, Incoming, Reply
from policies.addresses.client_address import client_address
from policies.console.browser_request import own_origin, require_own_page
from policies.console.viewer import Viewer
from policies.errors import EdgeRejected, NotAuthenticated, NotAuthorized, Refused


@dataclass(frozen=True, slots=True)
class Console:
    """What a request of the console meets: the parts of its steps, and what answers."""

    desk: Desk
    answering: Answering

    async def handle(self, incoming: Incoming, reply: Reply) -> None:
        """Serve one request from first byte to last. Raises only CancelledError."""
        asked = Asked(exchange=Exchange(incoming, self.desk.gate.clock), incoming=incoming, reply=reply)
        try:
            await serve(self, asked)
        except ClientGone:
            pass  # a page that nobody reads any more; what it did is recorded
        except Told as recorded:
            await tell(self, asked, recorded.cause)
        except (Refused, EngineError) as error:
            await refuse(self, asked, error)
        except (Turned, ActRefused) as turned:
            await tell(self, asked, turned)
        except Exception as bug:  # noqa: BLE001 (the request boundary: a bug is a 500 with an id)
            self.desk.gate.log_bug(asked.exchange, bug)
            await tell(self, asked, None)


async def serve(console: Console, asked: Asked) -> None:
    """The numbered steps."""
    desk, incoming, exchange = console.desk, asked.incoming, asked.exchange
    clean = check_edge(incoming.method, incoming.target, incoming.headers, incoming.http_version)  # (0)
    desk.gate.doors["console"].require_host(incoming.headers, incoming.local)
    exchange.in_force = desk.gate.in_force
    policy = exchange.in_force.policy
    exchange.client = client_address(incoming.peer, incoming.headers, policy.proxies)  # (1)
    policy.require_address(exchange.client, "console")  # (2)
    matched = desk.table.match(incoming.method, clean.path)  # (3)
    exchange.match = matched.recorded()
    require_own_page(incoming.method, incoming.headers, own_origin(asked.header(b"host")))  # (4)
    if await console.answering.sent_asset(asked, clean.path):
        return None
    read_address_line(asked, clean)
    if matched.opened is not None:
        return await answer_open(console, asked, matched.opened)
    try:
        asked.session = await find_session(desk, asked)  # (5)
        asked.viewer = await find_viewer(desk, asked, asked.session)  # (6)
    except NotAuthenticated as fault:
        return await send_to_sign_in(console, asked, fault)
    route = matched.required()
    asked.viewer.require_role(*route.roles)
    visit = await read_visit(desk, asked, asked.viewer, route, matched.item)  # (7)
    await keep_session(desk, asked, asked.session)
    answer = await route.answer(visit)  # (8)
    if isinstance(answer, HandedOn):
        return await hand_answer_on(console, asked, asked.viewer, answer)
    return await send(console, asked, answer)  # (9)


async def answer_open(console: Console, asked: Asked, route: OpenRoute) -> None:
    """The sign-in: no session is asked for, all else is. What the page refuses, it has recorded itself."""
    if asked.certificate is not None:
        console.desk.gate.identity.require_certificate(asked.certificate)
    arrival = await read_arrival(console.desk, asked)
    try:
        answer = await route.answer(arrival)
    except Refused as fault:
        raise Told(fault) from fault
    await send(console, asked, answer)


async def send_to_sign_in(console: Console, asked: Asked, fault: NotAuthenticated) -> None:
    """A page is answered by the way to the sign-in, a script's question by 401: that is no page for it to read."""
    if asked.by_script:
        return await console.answering.send_plain(asked.reply, 401, "signed out\n")
    ended = COOKIE in asked.cookies and fault.reason not in KEEPS_SESSION
    cookies = (console.desk.sign_in.sessions.take_cookie(),) if ended else ()
    where = "/sign-in?ended=1" if fault.presented else "/sign-in"
    return await send(console, asked, Elsewhere(where, cookies))


async def hand_answer_on(console: Console, asked: Asked, viewer: Viewer, handed: HandedOn) -> None:
    """The request flow of all clients answers: on its own, or whole for a page."""
    gate = console.desk.gate
    shown = Shown(viewer.session, asked.cookies[COOKIE], partial(still_stands, console.desk, asked))
    if handed.then is None:
        return await hand_on(gate, asked.incoming, console.answering.dressed(asked.reply), shown, handed)
    return await send(console, asked, await whole_answer(gate, asked.incoming, asked.reply, shown, handed))


async def send(console: Console, asked: Asked, answer: Answer) -> None:
    """Step 9. While a long answer streams, its session is looked at again and again."""
    await console.answering.send(asked, answer, partial(still_stands, console.desk, asked))


async def refuse(console: Console, asked: Asked, error: Refused | EngineError) -> None:
    """Record the refusal, then tell it; one that cannot be recorded is told as that."""
    if asked.viewer is not None:
        actor = asked.exchange.shown = asked.viewer.actor
        if isinstance(error, NotAuthorized):
            error.actor, error.key_id, error.issuer = actor.name, actor.key_id, actor.issuer
    asked.exchange.status = told(error)[0]
    shown: Exception = error
    try:
        await console.desk.gate.audit.refused(asked.exchange, error, started=asked.reply.started)
    except Refused as unrecorded:
        shown = unrecorded
    await tell(console, asked, shown)


async def tell(console: Console, asked: Asked, error: Exception | None) -> None:
    """An error page in the layout, or nothing where the answer had begun: the listener closes what was not ended."""
    if asked.reply.started:
        return
    with contextlib.suppress(ClientGone):
        if isinstance(error, EdgeRejected):
            await console.answering.send_plain(asked.reply, error.status, "not taken\n", close=True)
        else:
            await console.answering.send_error(asked, error)
