"""What a page of the console is given, and what it may answer.

A page is a plain coroutine from a `Visit` to an `Answer`. It never sees the socket, the cookie of the session or a
header: those are the flow's (`gateway.console.flow`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from policies.console.viewer import Role, Viewer
from policies.credentials.client_certificate import ClientCertificate
from policies.worded import Value

Language = Literal["en", "zh"]


class Visit(Struct, frozen=True, kw_only=True):
    """One request of somebody who is signed in.

    `item` is the last part of the path of an `{item}` route, decoded once; `query` and `form` hold one value a name.
    `client` is the client's address as text, `now_us` Unix microseconds.
    """

    viewer: Viewer
    path: str
    item: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    client: str
    lang: Language
    now_us: int
    request_id: str


class Arrival(Struct, frozen=True, kw_only=True):
    """One request to an open route, by whomever: the sign-in. `certificate` is the connection's, judged already.

    `origin` is ours as the browser spelt it (scheme and checked Host, no slash at the end); `fetch_site` what its
    Sec-Fetch-Site says, "" without one.
    """

    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    client: str
    lang: Language
    now_us: int
    request_id: str
    certificate: ClientCertificate | None = None
    origin: str = ""
    fetch_site: str = ""


class Page(Struct, frozen=True):
    """A template filled with `data`. `cookies` are whole Set-Cookie values, `headers` go beside the console's own."""

    template: str
    data: dict[str, Any] = {}
    status: int = 200
    cookies: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class Sent(Struct, frozen=True):
    """Bytes at hand; with a `filename` they are a download."""

    body: bytes
    content_type: str
    filename: str = ""


class Streamed(Struct, frozen=True):
    """Bytes as they come; with a `filename` they are a download. The iterator is closed however the answer ends."""

    chunks: AsyncIterator[bytes]
    content_type: str
    filename: str = ""


class Elsewhere(Struct, frozen=True):
    """303 to `location`: a path of the console, or for the sign-in the address of the identity provider."""

    location: str
    cookies: tuple[str, ...] = ()


class HandedOn(Struct, frozen=True, kw_only=True):
    """Answered by the request flow of every other client, asked by the viewer as one of `team`.

    `target` is a route of the console's table, `body` the JSON posted to it. With `then` the reply is taken whole and
    made into the answer: it gets status and body. See `gateway.console.handing_on`.
    """

    team: str
    target: str
    body: bytes
    then: Callable[[int, bytes], "Answer"] | None = None


Answer = Page | Sent | Streamed | Elsewhere | HandedOn


class ConsoleRoute(Struct, frozen=True, kw_only=True):
    """One page. `path` is exact, or ends in `/{item}`; `menu` is the word key of its entry in the menu, if it has one.

    A POST is answered only after the checks of the flow on origin and form; `form_limit_bytes` above 0 is the form's
    own bound.
    """

    method: Literal["GET", "POST"]
    path: str
    roles: frozenset[Role]
    answer: Callable[[Visit], Awaitable[Answer]]
    menu: str = ""
    form_limit_bytes: int = 0


class OpenRoute(Struct, frozen=True, kw_only=True):
    """A page that needs no session: the sign-in and what belongs to it."""

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[Arrival], Awaitable[Answer]]


class Turned(Exception):
    """A page's own refusal: shown in the layout with `status`, the words under `word_key`, filled with `details`.

    Under the key "" the detail `line` is shown, a sentence that commands say as well.
    """

    def __init__(self, status: int, word_key: str, **details: Value) -> None:
        super().__init__(word_key)
        self.status = status
        self.word_key = word_key
        self.details = details
