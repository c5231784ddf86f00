"""Sending: a whole answer, the head of a stream, and the last words of one that broke."""

from gateway.dialects.contract import Answer, Renderer
from gateway.exchange import Exchange
from gateway.incoming import Reply


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
    queue_ms = ("X-Queue-Wait-Ms", str(exchange.queued_ns // 1_000_000))
    await reply.start(200, [("Content-Type", renderer.content_type), queue_ms, *_common(exchange)])
    exchange.streaming = True


async def write(exchange: Exchange, reply: Reply, data: bytes) -> None:
    """Send part of a body; nothing for nothing (an empty chunk would end it)."""
    if data:
        await reply.write(data)
        exchange.bytes_out += len(data)


def _common(exchange: Exchange) -> list[tuple[str, str]]:
    return [("X-Request-Id", exchange.id)]
