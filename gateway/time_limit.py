"""How long one answer may take, and what becomes of it then.

An answer that was being written ends by `length`, with all its text, streamed or whole. One of which
nothing came at all is cut off a little later, and its caller told that the time is over.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from engine.errors import DeadlineExceeded
from gateway.exchange import Exchange, tokens_of
from policies.call import Event, Final, Usage

NS_PER_S = 1_000_000_000
SILENCE_GRACE_S = 5.0
"""How long after the limit an engine that says nothing is waited for: longer than any step."""


@contextlib.asynccontextmanager
async def answered_within(
    limit_s: float, exchange: Exchange, events: AsyncGenerator[Event, None]
) -> AsyncIterator[AsyncIterator[Event]]:
    """`events` for the length of the block, held to `limit_s` from now; leaving the block closes them."""
    with _cut_when_silent(exchange, limit_s):
        async with contextlib.aclosing(events):
            yield _ended_by_time(events, exchange, limit_s)


async def _ended_by_time(
    events: AsyncIterator[Event], exchange: Exchange, limit_s: float
) -> AsyncGenerator[Event, None]:
    """`events`, ended with `Final("length")` after the first of them that comes `limit_s` from now or later.

    The engine's own counts are lost with its end: the prompt's tokens are those of the preparation, the
    answer's those that were passed on.
    """
    deadline_ns = exchange.elapsed_ns() + round(limit_s * NS_PER_S)
    written = 0
    async for event in events:
        yield event
        written += tokens_of(event)
        if written and exchange.elapsed_ns() >= deadline_ns and not isinstance(event, Final):
            yield Final("length", Usage(prompt_tokens=exchange.prompt_tokens, output_tokens=written))
            return


@contextlib.contextmanager
def _cut_when_silent(exchange: Exchange, limit_s: float) -> Iterator[None]:
    """Cut `exchange` off when the block takes longer than `limit_s` and the grace for silence."""
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(limit_s + SILENCE_GRACE_S, exchange.cut_off, DeadlineExceeded("answer_time_limit"))
    try:
        yield
    finally:
        alarm.cancel()
