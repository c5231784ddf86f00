"""The load generator: sends what the schedule says when it says so, whatever became of the requests before.

An open loop; times are the client's own, on CLOCK_MONOTONIC: sent, first token, end.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import aiohttp

from bench.pool_admission.site import Pool
from bench.pool_admission.workload import Asked

ROUTE = "/v1/completions"


@dataclass(slots=True, kw_only=True)
class Answered:
    """What became of one request, as its client saw it. None for a moment that did not come before the block ended."""

    team: str
    at_s: float
    sent_s: float
    request: str = ""
    status: int = 0
    reason: str = ""
    first_s: float | None = None
    end_s: float | None = None

    @property
    def first_token_s(self) -> float | None:
        """From sending to the first token."""
        return None if self.first_s is None else self.first_s - self.sent_s


class Clients:
    """All callers of one pool, over kept connections."""

    def __init__(self, pool: Pool, session: aiohttp.ClientSession) -> None:
        self._pool = pool
        self._session = session

    async def run(self, schedule: Iterable[Asked], seconds: float) -> list[Answered]:
        """Send it all in its time; after `seconds` whoever still waits or reads goes away."""
        began_s = time.monotonic()
        answers: list[Answered] = []
        tasks: list[asyncio.Task[None]] = []
        for asked in schedule:
            await asyncio.sleep(max(0.0, began_s + asked.at_s - time.monotonic()))
            answer = Answered(team=asked.team, at_s=asked.at_s, sent_s=time.monotonic())
            answers.append(answer)
            tasks.append(asyncio.create_task(self.ask(asked, answer)))
        await asyncio.sleep(max(0.0, began_s + seconds - time.monotonic()))
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        return answers

    async def together(self, all_asked: list[Asked], at_once: int) -> list[Answered]:
        """A closed loop: `at_once` of them under way at any time, until all were served."""
        waiting = iter(all_asked)
        answers: list[Answered] = []

        async def one_after_another() -> None:
            for asked in waiting:
                answer = Answered(team=asked.team, at_s=0.0, sent_s=time.monotonic())
                answers.append(answer)
                await self.ask(asked, answer)
                if answer.status != 200:
                    raise RuntimeError(f"a request for measuring was answered {answer.status} {answer.reason}")

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return answers

    async def ask(self, asked: Asked, answer: Answered) -> None:
        """Send one request and note in `answer` what becomes of it."""
        headers = {"Authorization": f"Bearer {self._pool.keys[asked.team]}"}
        body = {**asked.body, "stream": True}
        async with self._session.post(self._pool.url + ROUTE, json=body, headers=headers) as response:
            answer.status = response.status
            answer.request = response.headers.get("X-Request-Id", "")
            answer.reason = response.headers.get("X-Admission-Reason", "")
            async for line in response.content:
                if answer.first_s is None and response.status == 200 and says_something(line):
                    answer.first_s = time.monotonic()
            answer.end_s = time.monotonic()


@contextlib.asynccontextmanager
async def clients(pool: Pool) -> AsyncIterator[Clients]:
    """Connections to `pool`, as many as there are requests under way."""
    connector = aiohttp.TCPConnector(limit=0, ssl=pool.tls)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Clients(pool, session)


def says_something(line: bytes) -> bool:
    """Whether this line of the stream carries text of the answer, or ends an answer that has none."""
    if not line.startswith(b"data: {"):
        return False
    choices = json.loads(line[6:]).get("choices") or [{}]
    return bool(choices[0].get("text") or choices[0].get("finish_reason"))
