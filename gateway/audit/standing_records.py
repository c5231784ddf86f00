"""Tells the log what is in force, so that a report can be made of the log alone: at the start, at a change, each day.

Rules:
 (1) Each subject (`inventory.*`) is told whole; where that is more than `PART` things, in several records, `part` 1
     being the first. Of the keys, a change tells only those that changed.
 (2) It is looked for changes once a minute. What only grows (when a key was last used, how far a checkpoint was taken)
     is no change.
 (3) The daily telling comes a minute after midnight (UTC), when the checkpoints over the day before have left the host.
 (4) What could not be recorded is told again at the next look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from gateway.audit.audit_log import stamp_now
from policies.audit_record import Entry, system_record
from policies.auditing.segment_records import as_entry
from policies.errors import AuditUnavailable

log = structlog.get_logger("corral.audit")

LOOK_S = 60.0
PART = 100
"""Things in one record: about 25 kB of keys, where a line may have 64."""
DAY_S = 86_400.0
AFTER_MIDNIGHT_S = 60.0
GROWING = frozenset({"last_used_s", "size", "at_s", "max_error_ms", "unknown"})
BY_THING = frozenset({"inventory.keys"})
"""Subjects of which a change tells the changed things only."""

Told = Mapping[str, Any]
Subjects = Mapping[str, Callable[[], Told]]
"""Event -> what is in force: lists of things under their names, and single values beside them."""


class StandingRecords:
    """See the head of the module. `record` returns once the entry is durable, or raises AuditUnavailable."""

    def __init__(
        self, subjects: Subjects, record: Callable[[Entry], Awaitable[None]], now_s: Callable[[], float]
    ) -> None:
        self._subjects = subjects
        self._record = record
        self._now_s = now_s
        self._known: dict[str, Any] = {}
        self._days: dict[str, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Tell what is due: rules (1) to (4)."""
        day = (self._now_s() - AFTER_MIDNIGHT_S) // DAY_S
        for event, subject in self._subjects.items():
            try:
                told = subject()
                known = _lasting(told)
                if self._days.get(event) != day:
                    await self._tell(event, told)
                elif known != self._known[event]:
                    await self._tell(event, _changed(told, self._known[event]) if event in BY_THING else told)
                self._known[event], self._days[event] = known, day
            except AuditUnavailable as fault:
                log.error("not_told", audit_event=event, cause=fault.reason)

    async def _tell(self, event: str, told: Told) -> None:
        for details in parts_of(told):
            await self._record(as_entry(system_record(event, stamp_now(), {}), details))


def parts_of(told: Told) -> list[dict[str, Any]]:
    """The records of one telling: single values stand in the first, lists are shared out."""
    lists = {name: value for name, value in told.items() if isinstance(value, list)}
    single = {name: value for name, value in told.items() if name not in lists}
    parts = max((-(-len(value) // PART) for value in lists.values()), default=1) or 1
    shared = [{name: value[part * PART : (part + 1) * PART] for name, value in lists.items()} for part in range(parts)]
    return [
        {"part": part, "parts": parts, **(single if part == 1 else {}), **each} for part, each in enumerate(shared, 1)
    ]


def _lasting(value: Any) -> Any:
    """What is told without what only grows, in a form to be compared."""
    if isinstance(value, Mapping):
        return {name: _lasting(each) for name, each in value.items() if name not in GROWING}
    return [_lasting(each) for each in value] if isinstance(value, list) else value


def _changed(told: Told, known: Any) -> Told:
    """Of each list the things that are not told of yet; a thing that is gone says so by an act of its own."""
    return {
        name: [each for each in value if _lasting(each) not in known.get(name, [])]
        if isinstance(value, list)
        else value
        for name, value in told.items()
    }
