"""Sending: a whole answer, the head of a stream, and the last words of one that broke."""

from gateway.dialects.contract import Answer, Renderer
from gateway.dialects.limit_headers import limit_headers
from gateway.dialects.queue_headers import Headers, queue_headers
from gateway.exchange import Exchange
from gateway.http.cors import origin_headers
from gateway.incoming import Reply
from gateway.stream_shape import HEAD_SIZES


async def send(exchange: Exchange, reply: Reply, answer: Answer) -> None:
    """Send `answer` whole. HEAD gets the head only."""
    exchange.status = answer.status
    length = ("Content-Length", str(len(answer.body)))
    await reply.start(
        answer.status, [("Content-Type", answer.content_type), length, *_common(exchange), *answer.headers]
    )
    if exchange.method != "HEAD":
        await write(exchange, reply, answer.body)
    await reply.end()


async def begin(exchange: Exchange, reply: Reply, renderer: Renderer) -> None:
    """Send the head of a stream; from now on errors travel inside it."""
    exchange.status = 200
    padding = [("X-Padding", HEAD_SIZES)] if exchange.shape.pads_head else []
    await reply.start(200, [("Content-Type", renderer.content_type), *_common(exchange), *padding])
    exchange.streaming = True


async def write(exchange: Exchange, reply: Reply, data: bytes) -> None:
    """Send part of a body; nothing for nothing (an empty chunk would end it)."""
    if data:
        await reply.write(data)
        exchange.bytes_out += len(data)


async def write_due(exchange: Exchange, reply: Reply) -> None:
    """Send what the stream's shape has ready. A write is taken only as it is sent: a cut leaves no hole."""
    while data := exchange.shape.take():
        await write(exchange, reply, data)


def _common(exchange: Exchange) -> list[tuple[str, str]]:
    return [
        ("X-Request-Id", exchange.id),
        *_queue(exchange),
        *limit_headers(exchange.standings),
        *origin_headers(exchange.origin),
    ]


def _queue(exchange: Exchange) -> Headers:
    """What the queue said, once it was asked."""
    if exchange.forecast is None or exchange.admission is None:
        return ()
    waited_s = None if exchange.queued_ns is None else exchange.queued_ns / 1e9
    return queue_headers(exchange.admission, exchange.forecast, waited_s)
