"""The life of the gateways and of the log in a report's period: times without a gateway, clocks that moved, pruning.

Rules:
 (1) A gateway is away from its `gateway.stopped`, or from its last record where it died without one, until its next
     `gateway.started`. What was away when the period began or ended is told with that end open.
 (2) A clock moved where, within one boot, two records after one another differ in wall time by `JUMP_S` more or less
     than on the monotonic clock: it was set, or the machine slept.
 (3) A pruning is told with the seqs that went. Restores are told by their records (`home.restored`), and what the log
     itself had to recover from by `audit.recovered`.
 (4) Whatever happened by itself and has a code that ends in W (worth a look) or E is counted by its event.
 (5) Each list holds at most `MAX_ROWS`; the rest are counted.
"""

from collections import Counter
from datetime import datetime
from typing import Any

from policies.auditing.report_line import ReportLine
from policies.auditing.report_period import Period

JUMP_S = 1.0
MAX_ROWS = 1000
STARTED, STOPPED = "gateway.started", "gateway.stopped"
PRUNED, RESTORED, RECOVERED = "audit.pruned", "home.restored", "audit.recovered"


class Life:
    """Fed chain by chain (`begin`, `end`), each in its order, with the records before the period's end."""

    def __init__(self, period: Period, most_rows: int = MAX_ROWS) -> None:
        self._period = period
        self._most_rows = most_rows
        self._chain = ""
        self._up_since = self._away_since = self._last_ts = ""
        self._died = False
        self._stamp: tuple[str, float, int] | None = None
        self._lists: dict[str, list[dict[str, Any]]] = {"away": [], "clock_moved": [], "pruned": [], "recovered": []}
        self._counts: Counter[str] = Counter()
        self._restored: dict[str, Any] = {}
        self._warnings: Counter[tuple[str, str]] = Counter()

    def begin(self, chain: str) -> None:
        """The records of another chain follow."""
        self._chain = chain
        self._up_since = self._away_since = self._last_ts = ""
        self._stamp = None

    def take(self, line: ReportLine) -> None:
        """One record. Raises msgspec.MsgspecError, ValueError for a time that is none."""
        self._look_at_clock(line)
        inside = self._period.holds(line.ts)
        if line.event == STARTED:
            self._came(line.ts)
        elif line.event == STOPPED:
            self._away_since, self._died, self._up_since = line.ts, False, ""
        elif line.event == PRUNED and inside:
            told = line.told()
            gone = {name: told.get(name) for name in ("first_seq", "last_seq")}
            self._list("pruned", {"chain": self._chain, "at": line.ts, **gone})
        elif line.event == RESTORED:
            self._restored = max(
                self._restored, {"at": line.ts, "chain": self._chain}, key=lambda row: row.get("at", "")
            )
        elif line.event == RECOVERED and inside:
            self._list("recovered", {"chain": self._chain, "at": line.ts, "torn_bytes": line.told().get("torn_bytes")})
        if inside and line.stage == "system" and line.code[-1:] in ("W", "E"):
            self._warnings[line.event, line.code] += 1
        self._last_ts = line.ts

    def end(self) -> None:
        """The chain's records before the period's end are over."""
        if self._away_since:
            self._away(self._away_since, "", died=False)

    def told(self) -> dict[str, Any]:
        """The sections `away`, `clock_moved`, `pruned`, `recovered`, `last_restore` and `warnings`."""
        lists = {name: sorted(rows, key=_place) for name, rows in self._lists.items()}
        return {
            **lists,
            "listed_of": {name: self._counts[name] for name in sorted(self._lists)},
            "last_restore": self._restored or None,
            "warnings": [
                {"event": event, "code": code, "count": count}
                for (event, code), count in sorted(self._warnings.items())
            ],
        }

    def _came(self, ts: str) -> None:
        if self._up_since:
            self._away(self._last_ts, ts, died=True)
        elif self._away_since:
            self._away(self._away_since, ts, died=False)
        self._up_since, self._away_since = ts, ""

    def _away(self, since: str, until: str, *, died: bool) -> None:
        if not until or until >= self._period.since:
            self._list("away", {"chain": self._chain, "since": since, "until": until, "died": died})

    def _look_at_clock(self, line: ReportLine) -> None:
        if not line.boot_id:
            return
        wall_s = datetime.fromisoformat(line.ts).timestamp()
        known, self._stamp = self._stamp, (line.boot_id, wall_s, line.mono_ns)
        if known is None or known[0] != line.boot_id or not self._period.holds(line.ts):
            return
        moved_s = (wall_s - known[1]) - (line.mono_ns - known[2]) / 1e9
        if abs(moved_s) >= JUMP_S:
            row = {"chain": self._chain, "at": line.ts, "seq": line.seq, "moved_s": round(moved_s, 3)}
            self._list("clock_moved", row)

    def _list(self, name: str, row: dict[str, Any]) -> None:
        self._counts[name] += 1
        if len(self._lists[name]) < self._most_rows:
            self._lists[name].append(row)


def _place(row: dict[str, Any]) -> tuple[str, str]:
    return str(row.get("at") or row["since"]), str(row["chain"])
