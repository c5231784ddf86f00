"""Steps 5 and 6: from a cookie to a viewer whose role and teams are those of the policy in force now.

A session whose proof no longer holds (a role taken away, a revocation, a lockdown, an expired key) ends here, with its
record; so does one that is too old or idle. What is only away (a store) is refused and ends nothing.
"""

import asyncio
import contextlib

from gateway.console.asked import Asked, Desk
from gateway.console.session_records import actor_of
from gateway.console.sessions import COOKIE
from policies.console.roles import Standing
from policies.console.session import Session, counts_as_use, require_live
from policies.console.viewer import Viewer
from policies.errors import LockedDown, NotAuthenticated, NotAuthorized, Refused

KEEPS_SESSION = frozenset({"session_certificate_missing"})
"""The cookie came over a connection without its certificate: refused there, and no reason to end it elsewhere."""


async def find_session(desk: Desk, asked: Asked) -> Session:
    """Step 5. Raises NotAuthenticated without a cookie, or for one whose session is over; PolicyUnavailable."""
    cookie = asked.cookies.get(COOKIE, "")
    if not cookie:
        raise NotAuthenticated("no_session", presented=False)
    session = await desk.sign_in.sessions.find(cookie)
    try:
        require_live(session, desk.now_s())
    except NotAuthenticated as fault:
        await desk.sign_in.close(session, fault.reason)
        raise
    return session


async def find_viewer(desk: Desk, asked: Asked, session: Session) -> Viewer:
    """Step 6. Raises NotAuthenticated once the session has ended with what it stood on.

    AddressNotAllowed and PolicyUnavailable pass: they end nothing.
    """
    standing = await _require_standing(desk, asked, session)
    return Viewer(
        person=session.proof.person,
        actor=actor_of(session.proof, session.id),
        role=standing.role,
        teams=standing.teams,
        session=session.id,
        break_glass=session.proof.method == "break_glass",
        csrf=desk.sign_in.sessions.token(asked.cookies[COOKIE]),
    )


async def still_stands(desk: Desk, asked: Asked) -> None:
    """Asked each second while an answer streams. Raises Refused when the session, or the role that saw it, is over."""
    if asked.session is None or asked.viewer is None:
        return
    session = await find_session(desk, asked)
    standing = await _require_standing(desk, asked, session)
    if (standing.role, standing.teams) != (asked.viewer.role, asked.viewer.teams):
        raise NotAuthorized("console_role_changed")


async def keep_session(desk: Desk, asked: Asked, session: Session) -> None:
    """A person did something: the idle time begins anew. What a page's script asks by itself leaves it as it is."""
    if counts_as_use(asked.incoming.method, asked.header(b"sec-fetch-dest")):
        await desk.sign_in.sessions.seen(asked.cookies[COOKIE], session, desk.now_s(), asked.lang)


async def end_dead_sessions(desk: Desk, every_s: float) -> None:
    """End and record what nobody asks about any more, until cancelled."""
    while True:
        with contextlib.suppress(Refused):  # the store or the log is away: the next round tries again
            await desk.sign_in.close_dead(desk.now_s())
        await asyncio.sleep(every_s)


async def _require_standing(desk: Desk, asked: Asked, session: Session) -> Standing:
    try:
        return desk.judge.require(session.proof, asked.client, asked.certificate)
    except (NotAuthenticated, NotAuthorized, LockedDown) as fault:
        if fault.reason not in KEEPS_SESSION:
            await desk.sign_in.close(session, fault.reason)
        raise NotAuthenticated(fault.reason, presented=True) from fault
