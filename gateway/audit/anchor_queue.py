"""What waits to be anchored at one place: a bounded queue, a task that empties it, back-off while it cannot.

Nothing here holds a request up. A place that fails is recorded once, and once that it is back. What does not fit into
the queue goes from its front: a later checkpoint covers all before it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from engine.restarts import doubling_s
from policies.auditing.checkpoint import read_checkpoint
from policies.auditing.signed_note import split_note

MAX_WAITING = 1024
"""Three hours of a busy log, 400 KiB."""
PUT_S = 60.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 15.0

Note = Callable[[str, dict[str, str | int | float | bool]], Any]


class AnchorFailed(Exception):
    """The place has not taken it; the message is one line that quotes nothing of what it said."""


class Place(Protocol):
    """Where checkpoints go. `off_host`: beyond this machine. `newest_only`: it wants no older ones.

    `put` raises AnchorFailed; it may be called again with the same note.
    """

    name: str
    off_host: bool
    newest_only: bool

    async def put(self, note: bytes) -> None: ...
    async def close(self) -> None: ...


def size_of(note: bytes) -> int:
    """The size that a checkpoint of ours tells."""
    return read_checkpoint(split_note(note)[0]).size


class AnchorQueue:
    """The queue of one place. `on_taken` hears of every note that it took."""

    def __init__(
        self, place: Place, note: Note, clock: Callable[[], float], on_taken: Callable[[Place, bytes], None]
    ) -> None:
        self.place = place
        self._note = note
        self._clock = clock
        self._on_taken = on_taken
        self._waiting: deque[bytes] = deque(maxlen=1 if place.newest_only else MAX_WAITING)
        self._news = asyncio.Event()
        self._rest = asyncio.Event()
        self._rest.set()
        self._failures = 0
        self._failing_since_s: float | None = None
        self._cause = ""

    @property
    def cause(self) -> str:
        """Why it fails now; empty while it does not."""
        return self._cause

    async def sent(self) -> None:
        """Wait until nothing waits, or the place fails."""
        await self._rest.wait()

    def add(self, note: bytes) -> None:
        """One more to anchor."""
        self._waiting.append(note)
        self._news.set()
        if not self._cause:
            self._rest.clear()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            while self._waiting:
                await self._send(self._waiting[0])
                if self._failing_since_s is not None:
                    await asyncio.sleep(self._delay_s())
            self._rest.set()
            self._news.clear()
            await self._news.wait()

    def _delay_s(self) -> float:
        jitter = random.random()  # noqa: S311 (no secret: it keeps gateways from coming back in step)
        return doubling_s(self._failures - 1, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S, jitter=jitter)

    async def _send(self, note: bytes) -> None:
        try:
            async with asyncio.timeout(PUT_S):
                await self.place.put(note)
        except (AnchorFailed, TimeoutError, OSError) as fault:
            self._failed(str(fault) or type(fault).__name__)
        else:
            self._took(note)

    def _took(self, note: bytes) -> None:
        if self._waiting and self._waiting[0] is note:  # else a newer one has come in its place
            self._waiting.popleft()
        if self._failing_since_s is not None:
            seconds = round(self._clock() - self._failing_since_s, 3)
            self._note(
                "anchor.back", {"anchor": self.place.name, "failed_for_s": seconds, "waiting": len(self._waiting)}
            )
        self._failures, self._failing_since_s, self._cause = 0, None, ""
        self._on_taken(self.place, note)

    def _failed(self, cause: str) -> None:
        self._failures += 1
        self._cause = cause
        self._rest.set()
        if self._failing_since_s is None:
            self._failing_since_s = self._clock()
            self._note("anchor.failed", {"anchor": self.place.name, "cause": cause})
