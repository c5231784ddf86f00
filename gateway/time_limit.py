"""How long one answer may take, and what becomes of it then.

An answer that was being written ends by `length`, with all its text, streamed or whole. One of which
nothing came at all is cut off a little later, and its caller told that the time is over.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from engine.errors import DeadlineExceeded
from gateway.clock import Clock
from gateway.exchange import Exchange
from policies.call import Event, Final, Reasoning, Text, Usage

NS_PER_S = 1_000_000_000
SILENCE_GRACE_S = 5.0
"""How long after the limit an engine that says nothing is waited for: longer than any step."""


async def ended_by_time(
    events: AsyncIterator[Event], *, limit_s: float, prompt_tokens: int, clock: Clock
) -> AsyncGenerator[Event, None]:
    """`events`, ended with `Final("length")` after the first of them that comes `limit_s` from now or later.

    The engine's own counts are lost with its end: `prompt_tokens` is taken from the preparation, and each
    event counts as one output token.
    """
    deadline_ns = clock.mono_ns() + round(limit_s * NS_PER_S)
    written = 0
    async for event in events:
        yield event
        written += isinstance(event, Text | Reasoning)
        if written and clock.mono_ns() >= deadline_ns and not isinstance(event, Final):
            yield Final("length", Usage(prompt_tokens=prompt_tokens, output_tokens=written))
            return


@contextlib.contextmanager
def cut_when_silent(exchange: Exchange, limit_s: float) -> Iterator[None]:
    """Cut `exchange` off when the block takes longer than `limit_s` and the grace for silence."""
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(limit_s + SILENCE_GRACE_S, exchange.cut_off, DeadlineExceeded("answer_time_limit"))
    try:
        yield
    finally:
        alarm.cancel()
