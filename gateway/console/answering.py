"""Step 9: answers on their way out, each with the security headers.

What streams is looked at each second: when the session or the role that may see it is over, it breaks off. A file that
is downloaded keeps nothing of its name but letters, digits and three marks (a header is no place for more).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from gateway.console.asked import Asked, Desk
from gateway.console.assets import ICON_PATH, PREFIX, Assets
from gateway.console.page import Answer, Elsewhere, HandedOn, Page, Sent, Streamed
from gateway.console.refusals import told
from gateway.console.rendering import Frame, Rendering
from gateway.console.security_headers import KEPT, Headers, security_headers
from gateway.dialects.error_headers import retry_after
from gateway.incoming import Reply

HTML = "text/html; charset=utf-8"
LOOK_S = 1.0
KNOWN = frozenset({400, 403, 404, 405, 409, 413, 429, 500, 503})
"""Statuses with a title of their own."""
_FILENAME = re.compile(r"[^A-Za-z0-9._-]+")


class Answering:
    """Sends pages, files, streams and redirects."""

    def __init__(self, desk: Desk, rendering: Rendering, assets: Assets) -> None:
        """Raises ValueError for a form's target that is no origin."""
        self._desk = desk
        self._rendering = rendering
        self._assets = assets
        self._headers = security_headers(desk.sign_in.form_targets)

    async def send(self, asked: Asked, answer: Answer, look: Callable[[], Awaitable[None]]) -> None:
        """Send `answer`. `look` raises Refused when what streams must end."""
        match answer:
            case Page():
                await self._send_page(asked, answer)
            case Sent():
                await self._send_body(asked.reply, 200, answer.body, _file(answer))
            case Streamed():
                await self._stream(asked.reply, answer, look)
            case Elsewhere():
                to = (("Location", answer.location), *_cookies(answer.cookies))
                await self._send_body(asked.reply, 303, b"", to)
            case HandedOn():
                raise TypeError("what is handed on is answered by another flow")

    async def send_error(self, asked: Asked, error: Exception | None) -> None:
        """A page in the layout that tells `error`; a line of text to a script."""
        status, key, values = told(error)
        if asked.by_script:
            words = self._rendering.words[asked.lang]
            line = words.text(key, **values) if key else words.said(values["line"]) or values["line"]
            return await self.send_plain(asked.reply, status, f"{line}\n", headers=retry_after(error))
        data = {"status": status, "key": key, "values": values, "known": status in KNOWN}
        return await self._send_page(asked, Page("frame/error.html", data, status, headers=retry_after(error)))

    async def send_plain(
        self, reply: Reply, status: int, text: str, *, headers: Headers = (), close: bool = False
    ) -> None:
        """A line of text, for scripts and for what is no browser; `close` ends the connection."""
        extra: Headers = (("Content-Type", "text/plain; charset=utf-8"), *headers)
        await self._send_body(reply, status, text.encode(), (*extra, ("Connection", "close")) if close else extra)

    async def sent_asset(self, asked: Asked, path: str) -> bool:
        """True when `path` was an asset's, and it was sent."""
        named = path.startswith(PREFIX)
        if not (named or path == ICON_PATH) or asked.incoming.method != "GET":
            return False
        asset = self._assets.find(path)
        if asset is None:
            await self.send_plain(asked.reply, 404, "no such file\n")
        else:
            kind = ("Content-Type", asset.content_type)
            await self._send_body(asked.reply, 200, asset.body, (kind, KEPT) if named else (kind,))
        return True

    def dressed(self, reply: Reply) -> Reply:
        """`reply`, whose head gets our headers beside what another flow gives it."""
        return DressedReply(reply, self._headers)

    async def _send_page(self, asked: Asked, page: Page) -> None:
        alarms = await self._alarms(asked)
        body = self._rendering.page(page, self._frame(asked, alarms))
        head = (("Content-Type", HTML), ("Content-Language", asked.lang), *_cookies(page.cookies), *page.headers)
        await self._send_body(asked.reply, page.status, body, head)

    async def _alarms(self, asked: Asked) -> tuple[float, ...]:
        """For who must know that a key was used to come in."""
        if asked.viewer is None or asked.viewer.role == "team-lead":
            return ()
        return await self._desk.sign_in.sessions.alarms(self._desk.now_s())

    def _frame(self, asked: Asked, alarms: tuple[float, ...]) -> Frame:
        menu = self._desk.table.menu(asked.viewer, asked.path) if asked.viewer is not None else ()
        shown = asked.incoming.method == "GET"
        return Frame(
            lang=asked.lang,
            path=asked.path if shown else "/",
            viewer=asked.viewer,
            menu=menu,
            alarms=alarms,
            query=asked.query if shown else {},
            now_us=self._desk.now_us(),
            request_id=asked.exchange.id,
        )

    async def _stream(self, reply: Reply, answer: Streamed, look: Callable[[], Awaitable[None]]) -> None:
        chunks = Watched(answer.chunks, look)
        try:
            chunk = await chunks.next()  # what fails before it is still told as a page
            await reply.start(200, [*_file(answer), *self._headers])
            while chunk is not None:
                if chunk:
                    await reply.write(chunk)
                chunk = await chunks.next()
            await reply.end()
        finally:
            await chunks.close()

    async def _send_body(self, reply: Reply, status: int, body: bytes, headers: Iterable[tuple[str, str]]) -> None:
        await reply.start(status, [*headers, ("Content-Length", str(len(body))), *self._headers])
        if body:
            await reply.write(body)
        await reply.end()


class DressedReply:
    """A reply that adds headers of ours to the head that another flow sends."""

    def __init__(self, reply: Reply, headers: Headers) -> None:
        self._reply = reply
        self._headers = headers
        self.started = reply.started

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `gateway.incoming.Reply`."""
        self.started = True
        await self._reply.start(status, [*headers, *self._headers])

    async def write(self, data: bytes) -> None:
        """See `gateway.incoming.Reply`."""
        await self._reply.write(data)

    async def end(self) -> None:
        """See `gateway.incoming.Reply`."""
        await self._reply.end()

    def closed(self) -> bool:
        """See `gateway.incoming.Reply`."""
        return self._reply.closed()


class Watched:
    """Chunks as they come, with a `look` every LOOK_S whether or not any comes."""

    def __init__(self, chunks: AsyncIterator[bytes], look: Callable[[], Awaitable[None]]) -> None:
        self._chunks = chunks
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + LOOK_S

    async def next(self) -> bytes | None:
        """The next chunk, None after the last. Raises what `look` or the chunks raise."""
        coming = asyncio.ensure_future(anext(self._chunks, None))
        try:
            while not coming.done() or self._loop.time() >= self._due_s:
                await asyncio.wait({coming}, timeout=max(0.0, self._due_s - self._loop.time()))
                if self._loop.time() >= self._due_s:
                    await self._look()
                    self._due_s = self._loop.time() + LOOK_S
            return coming.result()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def close(self) -> None:
        """Let the source go, however far it was read."""
        if close := getattr(self._chunks, "aclose", None):
            await close()


def _file(answer: Sent | Streamed) -> Headers:
    kind = ("Content-Type", answer.content_type)
    if not answer.filename:
        return (kind,)
    name = _FILENAME.sub("_", answer.filename)
    return (kind, ("Content-Disposition", f'attachment; filename="{name}"'))


def _cookies(values: tuple[str, ...]) -> Headers:
    return tuple(("Set-Cookie", value) for value in values)
