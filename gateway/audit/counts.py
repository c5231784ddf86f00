"""What the gateway itself counts of the requests that a target took: those without a record of their end, and the rest.

`OpenRuns` knows every request that asked for a target and whose end is not in the log yet. `CountedLog` stands
before the log and takes them out in the same moment in which the record of the end is handed over, so that at any
place in the log, what is recorded and what is open make up all there is.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from policies.authorization import Grant

Entry = dict[str, Any]
END_STAGES = frozenset({"completed", "aborted", "denied"})


class Run(Protocol):
    """A request on a target: `gateway.exchange.Exchange` is one."""

    id: str
    target: str
    taken_by: Callable[[], str]


class Log(Protocol):
    """What takes records; returns once they are lasting."""

    async def record(self, entry: Entry) -> None: ...

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]: ...


class Served(Struct):
    """What one key, or all of them, had of this process: requests that ended and were taken, and their tokens."""

    taken: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0

    def add(self, result: Entry) -> None:
        """One more request, by the `result` of its record."""
        self.taken += 1
        self.prompt_tokens += result.get("prompt_tokens", 0)
        self.output_tokens += result.get("output_tokens", 0)


class OpenRuns:
    """The requests that wait for a target or have one, until the record of their end is handed to the log."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def begin(self, run: Run) -> None:
        """This request asks for a target."""
        self._runs[run.id] = run

    def ended(self, request_id: str) -> bool:
        """Its end is being recorded; False when it was before, or it never asked for a target."""
        return self._runs.pop(request_id, None) is not None

    def open(self, target: str, life: str | None = None) -> int:
        """How many are open there. With a `life`: of those that this life of the worker took."""
        there = (run for run in self._runs.values() if run.target == target)
        return sum(life is None or run.taken_by() == life for run in there)


class CountedLog:
    """The log, seen by the parts that record requests. What it counts as served, `told` gives to a caller."""

    def __init__(self, log: Log, runs: OpenRuns, process: str, since_unix_s: float) -> None:
        self._log = log
        self._runs = runs
        self._process = process
        self._since_unix_s = since_unix_s
        self._served: dict[str, Served] = {}

    async def record(self, entry: Entry) -> None:
        """As the log's own, which takes the entry before this first waits for anything."""
        self._see(entry)
        await self._log.record(entry)

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        """As the log's own."""
        self._see(entry)
        return self._log.submit(entry, needed=needed)

    def _see(self, entry: Entry) -> None:
        if entry.get("stage") in END_STAGES and self._runs.ended(entry.get("req_id", "")):
            self._count(entry)

    def told(self, grant: Grant) -> bytes:
        """The counts of the grant's own key, or of all callers where it may see metrics; JSON."""
        sees_all = "metrics" in grant.principal.scopes
        served = self._of("" if sees_all else grant.principal.key_id)
        told = {"process": self._process, "since_unix_s": self._since_unix_s, "of": "all" if sees_all else "key"}
        return msgspec.json.encode({**told, **msgspec.to_builtins(served)})

    def _count(self, entry: Entry) -> None:
        result = entry.get("result", {})
        if result.get("taken_by"):
            for key_id in {"", entry.get("actor", {}).get("key_id", "")}:
                served = self._of(key_id)
                served.add(result)

    def _of(self, key_id: str) -> Served:
        return self._served.setdefault(key_id, Served())
