"""Step 11's wait, and what a caller who asked for it is told meanwhile.

Without `X-Queue-Events: 1` nothing is sent before there is a slot, so that a refusal is a status of its own. With it,
and for a streamed answer of server-sent events that must wait, the status line goes out when the wait begins, and
comments tell the place and the wait that is left: at every change, at most once a second, and every
`KEEP_ALIVE_NS` in any case, so that proxies keep the connection. A refusal then travels inside the stream.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol

from gateway.answers import begin, write_due
from gateway.audit.recording import Recording
from gateway.dialects.contract import Renderer
from gateway.dialects.wire import EVENT_STREAM
from gateway.exchange import Exchange
from gateway.incoming import Reply
from policies.admitting.effects import Forecast
from policies.told_wait import told_ms

CHANGE_NS = 1_000_000_000
"""Between two changes told; no reader of progress looks more often."""
POLL_S = 1.05
"""How often the queue is asked for a forecast, which costs it about as much as a newcomer. A little more than
`CHANGE_NS`, so that each answer may be told; a turn that comes is taken at once."""
CROWD = 512
"""From so many waiters on each is told less often: a forecast costs more the more wait, and there are more to make."""
KEEP_ALIVE_NS = 15_000_000_000
"""WHATWG HTML section 9.2.7: a comment every 15 seconds or so keeps proxies from dropping an event stream."""


class Waiting(Protocol):
    """A request in the queue: `gateway.dispatcher.Admission`."""

    def waits(self) -> bool:
        """True while the queue has not decided."""
        ...

    def forecast(self) -> Forecast:
        """Its place and what is left of its wait."""
        ...

    def crowd(self) -> int:
        """How many wait, of all teams."""
        ...

    async def turn(self) -> None:
        """Wait for a slot. Raises Overloaded or NoCapacity when the queue turns the request away."""
        ...


class QueueComments:
    """When to tell what. `now_ns` is any steadily growing time in nanoseconds."""

    def __init__(self) -> None:
        self._told = b""
        self._told_ns = 0

    def due(self, forecast: Forecast, now_ns: int) -> bytes:
        """The comment to send now, b"" for none; what is answered counts as sent."""
        comment, since_ns = queued_comment(forecast), now_ns - self._told_ns
        rest_ns = KEEP_ALIVE_NS if comment == self._told else CHANGE_NS
        if self._told and since_ns < rest_ns:
            return b""
        self._told, self._told_ns = comment, now_ns
        return comment


def queued_comment(forecast: Forecast) -> bytes:
    """A comment of server-sent events, which clients pass over, with the place and the wait that is left."""
    return b": queued pos=%d eta_ms=%d\n\n" % (forecast.position, told_ms(forecast.wait_s))


async def take_turn(
    admission: Waiting, exchange: Exchange, reply: Reply, renderer: Renderer, recording: Recording, *, events: bool
) -> None:
    """Wait for the slot; with `events`, and where the answer has a place for them, tell of the wait meanwhile.

    Nothing is told, and no slot used, before the authorization's `recording` is lasting. Raises what `Waiting.turn`
    does, AuditUnavailable, and ClientGone.
    """
    await _wait(admission, exchange, reply, renderer, recording if events else None)
    await recording.lasting()


async def _wait(
    admission: Waiting, exchange: Exchange, reply: Reply, renderer: Renderer, telling_after: Recording | None
) -> None:
    """Wait for the slot; tell of the wait after that recording, if there is one and a place for it."""
    if telling_after is None or not (renderer.streamed and renderer.content_type.startswith(EVENT_STREAM)):
        return await admission.turn()
    await telling_after.lasting()
    exchange.renderer = renderer
    telling = _tell(admission, exchange, reply, renderer)
    async with _beside(admission.turn()) as turn, _beside(telling) as told:
        await asyncio.wait({turn, told}, return_when=asyncio.FIRST_COMPLETED)
        if not turn.done():
            await told
        return await turn


async def _tell(admission: Waiting, exchange: Exchange, reply: Reply, renderer: Renderer) -> None:
    """Comments while it waits. May be left at any await: a client that does not read must not hold up its own slot."""
    comments = QueueComments()
    while admission.waits():
        now_ns = exchange.elapsed_ns()
        if comment := comments.due(admission.forecast(), now_ns):
            exchange.shape.add(comment, now_ns)
            await _send_due(exchange, reply, renderer)
        await asyncio.sleep(POLL_S * max(1.0, admission.crowd() / CROWD))


async def _send_due(exchange: Exchange, reply: Reply, renderer: Renderer) -> None:
    if not reply.started:
        await begin(exchange, reply, renderer)
    await write_due(exchange, reply)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """`work` as a task of its own, which ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
