"""The witness's HTTP interface: `POST /add-checkpoint` of c2sp.org/tlog-witness, over TLS.

Requests are taken one after the other: each is judged by what the one before left, and a sync a request is far more
than a log that signs every ten seconds asks for. `GET /` says who this is, and nothing else is served.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable

import structlog
from aiohttp import web

from gateway.witness.witness_state import WitnessFault, WitnessState
from policies.auditing.signed_note import NoteBroken
from policies.auditing.witnessing import MAX_REQUEST_BYTES, SIZE_TYPE, Judgement, read_add_checkpoint

log = structlog.get_logger("corral.witness")

KEEP_ALIVE_S = 75.0
BODY_S = 10.0


class WitnessServer:
    """Serves one witness. `now_s` gives POSIX seconds, which the cosignatures carry."""

    def __init__(self, state: WitnessState, now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self._state = state
        self._now_s = now_s
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
        """Serve inside the block; the port. Raises OSError."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post("/add-checkpoint", self._add)
        app.router.add_get("/", self._say_who)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=tls)
            await site.start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    async def _say_who(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"{self._state.verifier.vkey}\n")

    async def _add(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
            asked = read_add_checkpoint(body)
        except TimeoutError:
            return web.Response(status=408, text="the body came too slowly\n")
        except NoteBroken as fault:
            return web.Response(status=400, text=f"{fault}\n")
        async with self._turn:
            try:
                judgement, line = await asyncio.to_thread(self._state.add, asked, self._now_s())
            except WitnessFault as fault:
                log.error("witness.fault", cause=str(fault))
                return web.Response(status=503, text="nothing was cosigned: this witness cannot write\n")
        _tell(judgement)
        return _answer(judgement, line)


def _answer(judgement: Judgement, line: bytes) -> web.Response:
    if judgement.status == 200:
        return web.Response(body=line, content_type="text/plain", charset="utf-8")
    if judgement.latest_size is not None:
        headers = {"Content-Type": SIZE_TYPE}
        return web.Response(status=409, body=b"%d\n" % judgement.latest_size, headers=headers)
    return web.Response(status=judgement.status, text=f"{judgement.text}\n")


def _tell(judgement: Judgement) -> None:
    """A contradiction is an alarm; a refusal of what nobody we know has signed is not worth a line each."""
    if judgement.checkpoint is None:
        return
    facts = {"origin": judgement.checkpoint.origin, "size": judgement.checkpoint.size, "status": judgement.status}
    if judgement.against is not None:
        log.error("witness.evidence", why=judgement.text, against_size=judgement.against.size, **facts)
    elif judgement.status == 200:
        log.info("witness.cosigned", **facts)
