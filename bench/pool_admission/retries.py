"""Callers that are told when to come back, with the official `openai` client and its own retries.

Of those turned away at their first try with a time, how many are served at their first try then? The client is
left as it is (two retries, its own reading of `retry-after-ms`); what it does is heard from its HTTP library.

Counted are the moments up to the end of the schedule. Who was told a later one still comes, with no load beside it:
a caller cut off would never come, and the queue would stand for minutes under bookings that nobody keeps.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import openai

from bench.pool_admission.load import Answered, clients
from bench.pool_admission.site import Pool
from bench.pool_admission.statistics import Figure, share_of
from bench.pool_admission.workload import Asked

NUMBER = "X-Bench-Call"
CLIENT_RETRIES = 2
LATEST_S = 150.0
"""The longest that a caller is told, and its answer."""


@dataclass(slots=True)
class Tries:
    """All tries of one call: when each was answered, its status, and the milliseconds it was told.

    Seconds count from the beginning of the round, which lasts `round_s`.
    """

    team: str
    round_s: float = math.inf
    statuses: list[int] = field(default_factory=list)
    told_ms: list[float | None] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def was_given_a_time(self) -> bool:
        """Turned away at its first try, with a time to come back within the round, and it did come back."""
        told_ms = self.told_ms[0] if len(self.statuses) > 1 and self.statuses[0] == 429 else None
        return told_ms is not None and self.answered_s[0] + told_ms / 1000 <= self.round_s

    def served_then(self) -> bool:
        """Whether the first try at that time was served."""
        return self.statuses[1] == 200


async def run(pool: Pool, schedule: Iterable[Asked], patient: set[str], seconds: float) -> list[Tries]:
    """Send the schedule; the teams in `patient` with the official client, the others as everywhere here."""
    calls: dict[str, Tries] = {}
    began_s = time.monotonic()

    async def heard(response: Any) -> None:
        tries = calls[response.request.headers[NUMBER]]
        told = response.headers.get("retry-after-ms")
        tries.statuses.append(response.status_code)
        tries.told_ms.append(float(told) if told else None)
        tries.answered_s.append(time.monotonic() - began_s)
        tries.reasons.append(response.headers.get("X-Admission-Reason", ""))

    async with (
        openai.DefaultAsyncHttpxClient(verify=pool.tls, event_hooks={"response": [heard]}, timeout=None) as http,
        clients(pool) as callers,
    ):
        official = {
            team: openai.AsyncOpenAI(
                api_key=pool.keys[team], base_url=f"{pool.url}/v1", http_client=http, max_retries=CLIENT_RETRIES
            )
            for team in patient
        }

        async def send(asked: Asked, number: str) -> None:
            if asked.team not in patient:
                await callers.ask(asked, Answered(team=asked.team, at_s=asked.at_s, sent_s=time.monotonic()))
                return
            calls[number] = Tries(asked.team, seconds)
            await _ask(official[asked.team], asked.body, number)

        tasks = []
        for place, asked in enumerate(schedule):
            await asyncio.sleep(max(0.0, began_s + asked.at_s - time.monotonic()))
            tasks.append(asyncio.create_task(send(asked, str(place))))
        await asyncio.wait(tasks, timeout=max(0.0, began_s + seconds + LATEST_S - time.monotonic()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return list(calls.values())


def first_tries(calls: Iterable[Tries]) -> Figure:
    """Of callers given a time, the share that was served at their first try then."""
    return share_of([each.served_then() for each in calls if each.was_given_a_time()])


def told(calls: list[Tries]) -> dict[str, Any]:
    """How their tries went, for the report."""
    returned = [each for each in calls if each.was_given_a_time()]
    return {
        "calls": len(calls),
        "first_try_served": sum(each.statuses[:1] == [200] for each in calls),
        "given_a_time_and_came": len(returned),
        "first_try_then": first_tries(calls).told(),
        "refused_then": dict(Counter(each.reasons[1] for each in returned if not each.served_then())),
        "told_no_time": sum(each.statuses[:1] == [429] and each.told_ms[0] is None for each in calls),
        "served_in_the_end": sum(200 in each.statuses for each in calls),
        "tries_a_call": sum(len(each.statuses) for each in calls) / max(len(calls), 1),
    }


async def _ask(client: openai.AsyncOpenAI, body: dict[str, Any], number: str) -> None:
    """One call; what comes of it was heard from its tries."""
    try:
        stream = await client.completions.create(**body, stream=True, extra_headers={NUMBER: number})
        async for _ in stream:
            pass
    except openai.APIStatusError:
        return
