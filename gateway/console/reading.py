"""Step 7: what a request says beside its headers, read once, into what a page is given."""

from gateway.console.asked import Asked, Desk
from gateway.console.forms import read_form, read_query
from gateway.console.page import Arrival, ConsoleRoute, Visit
from gateway.console.rendering import CSRF_FIELD
from gateway.http.edge import CleanTarget, demand_identity
from policies.console.browser_request import own_origin, read_cookies, require_token
from policies.console.viewer import Viewer

FORM_BYTES = 64 * 1024
"""For a form whose route says nothing else."""


def read_address_line(asked: Asked, clean: CleanTarget) -> None:
    """Path, query and cookies. Raises BadRequest."""
    asked.path = clean.path
    asked.query = read_query(clean.query)
    asked.cookies = read_cookies(asked.incoming.headers)


async def read_visit(desk: Desk, asked: Asked, viewer: Viewer, route: ConsoleRoute, item: str) -> Visit:
    """What the page is given. Raises BadRequest for a form that is none, or whose token is not the session's."""
    form = await read_body(desk, asked, route.form_limit_bytes or FORM_BYTES)
    if asked.incoming.method != "GET":
        require_token(form.pop(CSRF_FIELD, ""), viewer.csrf)
    return Visit(
        viewer=viewer,
        path=asked.path,
        item=item,
        query=asked.query,
        form=form,
        client=asked.client,
        lang=asked.lang,
        now_us=desk.now_us(),
        request_id=asked.exchange.id,
    )


async def read_arrival(desk: Desk, asked: Asked) -> Arrival:
    """What a page of the sign-in is given. Raises as `read_body`."""
    return Arrival(
        path=asked.path,
        query=asked.query,
        form=await read_body(desk, asked, FORM_BYTES),
        cookies=asked.cookies,
        client=asked.client,
        lang=asked.lang,
        now_us=desk.now_us(),
        request_id=asked.exchange.id,
        certificate=asked.certificate,
        origin=own_origin(asked.header(b"host")),
        fetch_site=asked.header(b"sec-fetch-site"),
    )


async def read_body(desk: Desk, asked: Asked, limit_bytes: int) -> dict[str, str]:
    """The form of a POST, nothing for what has none. Raises BodyTooLarge, BodyTooSlow, BadRequest."""
    if asked.incoming.method != "POST":
        return {}
    demand_identity(asked.incoming.headers)
    body = await asked.incoming.read_body(min(limit_bytes, desk.form_bytes), desk.form_timeout_s)
    asked.exchange.bytes_in = len(body)
    return read_form(asked.header(b"content-type"), body)
