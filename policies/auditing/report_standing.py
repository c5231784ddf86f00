"""What was in force in a report's period, as gateways tell it: switches, exceptions, outbound hosts, models, clocks.

Each is told as a whole by `inventory.*` records: at a gateway's start, when it changes, and every day. Rules:
 (1) A telling may take several records; the one with `part` 1 begins it.
 (2) What a gateway's last telling before the period held was in force when the period began.
 (3) So for each thing there is the first and the last time it was told of, `(before)` standing for rule (2), and the
     gateways that told it. A thing ends where a later telling does not hold it; that is not told as a time.
 (4) A gateway whose log has none of these records before the end of the period is named: nothing is known there.
"""

from typing import Any

import msgspec

from policies.auditing.report_line import ReportLine, number, shown
from policies.auditing.report_period import Period

SETTINGS, EGRESS, MODELS = "inventory.settings", "inventory.egress", "inventory.models"
CLOCK = "inventory.clock"
LISTS = {"unsafe": SETTINGS, "report_only": SETTINGS, "hosts": EGRESS, "models": MODELS}
"""The list in a record, and the event that tells it."""
EVENTS = frozenset(LISTS.values())
BEFORE = "(before)"


class _Thing(msgspec.Struct):
    first: str
    last: str
    chains: set[str]


class Standing:
    """Fed chain by chain (`begin`), each in its order."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._chain = ""
        self._chains: set[str] = set()
        self._telling: set[str] = set()
        self._before: dict[str, dict[str, None]] = {}
        self._things: dict[str, dict[str, _Thing]] = {name: {} for name in LISTS}
        self._clock: dict[str, dict[str, Any]] = {}

    def begin(self, chain: str) -> None:
        """The records of another chain follow."""
        self.end()
        self._chain = chain
        self._chains.add(chain)

    def take(self, line: ReportLine) -> None:
        """One telling before the period's end. Raises msgspec.MsgspecError."""
        told = line.told()
        self._telling.add(self._chain)
        if line.ts >= self._period.since:
            self._settle(line.event)
        for name, event in LISTS.items():
            if event != line.event:
                continue
            if line.ts < self._period.since and told.get("part", 1) == 1:
                self._before[name] = {}
            for each in told.get(name, ()):
                self._hold(name, _text_of(each), line.ts)

    def clock(self, line: ReportLine) -> None:
        """How the machine's clock was in the period. Raises msgspec.MsgspecError."""
        self._telling.add(self._chain)
        if not self._period.holds(line.ts):
            return
        told = line.told()
        known = self._clock.setdefault(self._chain, {"tellings": 0, "not_synchronised": 0, "worst_error_ms": None})
        known["tellings"] += 1
        known["not_synchronised"] += told.get("synchronised") is not True
        error_ms = number(told.get("max_error_ms"))
        if error_ms is not None:
            known["worst_error_ms"] = max(known["worst_error_ms"] or 0.0, error_ms)

    def end(self) -> None:
        """The chain's records before the period's end are over."""
        for event in EVENTS:
            self._settle(event)

    def told(self) -> dict[str, Any]:
        """The sections `unsafe_switches`, `report_only`, `egress`, `models_offered`, `clocks`; call `end` before."""
        return {
            "unsafe_switches": self._rows("unsafe"),
            "report_only": self._rows("report_only"),
            "egress": self._rows("hosts"),
            "models_offered": self._rows("models"),
            "clocks": [{"chain": chain, **known} for chain, known in sorted(self._clock.items())],
            "without_inventory": sorted(self._chains - self._telling),
        }

    def _hold(self, name: str, thing: str, ts: str) -> None:
        if ts < self._period.since:
            self._before.setdefault(name, {})[thing] = None
            return
        self._keep(name, thing, ts, ts)

    def _settle(self, event: str) -> None:
        """Rule (2): from here on the chain's tellings are of the period."""
        for name in [name for name in self._before if LISTS[name] == event]:
            for thing in self._before.pop(name):
                self._keep(name, thing, BEFORE, BEFORE)

    def _keep(self, name: str, thing: str, first: str, last: str) -> None:
        known = self._things[name].setdefault(thing, _Thing(first, last, set()))
        known.first, known.last = _earlier(known.first, first), _later(known.last, last)
        known.chains.add(self._chain)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return [
            {**_facts_of(thing), "first_told": known.first, "last_told": known.last, "chains": sorted(known.chains)}
            for thing, known in sorted(self._things[name].items())
        ]


def _text_of(thing: Any) -> str:
    """One text for a thing, the same for the same facts."""
    facts = thing if isinstance(thing, dict) else {"name": thing}
    return msgspec.json.encode({name: shown(facts[name]) for name in sorted(facts)}).decode()


def _facts_of(text: str) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str])


def _earlier(one: str, other: str) -> str:
    return BEFORE if BEFORE in (one, other) else min(one, other)


def _later(one: str, other: str) -> str:
    if BEFORE in (one, other):
        return other if one == BEFORE else one
    return max(one, other)
