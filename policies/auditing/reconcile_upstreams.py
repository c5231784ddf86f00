"""Did an upstream serve more than was sent there through the gate? For upstreams that count themselves.

Decides for one upstream over the chains of all gateways; `policies.auditing.reconcile` feeds it. Rules:
 (1) An upstream's process counts requests that ended there; it may be told from the next one by its `life`.
 (2) At each of its counts, what it served since the first count may not exceed what all chains recorded since: those
     it began to answer; those cut short before it did, since it may have served them; and those still open.
 (3) A chain other than the one the count stands in accounts with what it had at its own next count, or at its end:
     too much rather than too little, so that a difference is one.
 (4) At the first count the past is taken as settled, but for requests of the same gateway process that were cut short:
     the upstream may not have noticed yet. A process of the upstream that began after it counts from nothing.
 (5) Only growth is told, between the count before and the one that shows it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct, field

from policies.auditing.reconcile_records import Counted, Difference, LineResult


class _Reach(Struct, frozen=True):
    """What one chain accounts for at a time: at `most`, and `settled` for certain."""

    ts: str
    most: int
    settled: int


class _Served(Struct, frozen=True):
    ts: str
    chain: str
    count: Counted


class _Chain(Struct):
    """One chain's requests to this upstream as they are read."""

    done: int = 0
    unanswered: int = 0
    lately_cut: int = 0
    still_open: int = 0
    reaches: list[_Reach] = field(default_factory=list)

    def reach(self, ts: str, slack: int) -> None:
        reach = _Reach(ts, self.done + self.unanswered + slack, self.done - self.lately_cut)
        self.reaches.append(reach)

    def reached(self, ts: str) -> int:
        """The most that this chain accounts for at `ts`."""
        at_end = self.done + self.unanswered + self.still_open
        return next((each.most for each in self.reaches if each.ts >= ts), at_end)

    def settled(self, ts: str) -> int:
        """What this chain had for certain at `ts`."""
        return next((each.settled for each in reversed(self.reaches) if each.ts <= ts), 0)


class UpstreamBook:
    """What was sent to one upstream, and what it says it served."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._chains: dict[str, _Chain] = {}
        self._served: list[_Served] = []

    def begin_process(self, chain: str) -> None:
        """Another gateway process goes on in this chain."""
        self._of(chain).lately_cut = 0

    def ended(self, chain: str, result: LineResult) -> None:
        """A request that was given to it is over, by the record in this chain."""
        of = self._of(chain)
        if result.taken_by:
            of.done += 1
            of.lately_cut += not result.finish
        else:
            of.unanswered += 1

    def lost(self, chain: str, count: int) -> None:
        """Requests of a gateway that died; any of them may have been there."""
        self._of(chain).unanswered += count

    def counted(self, chain: str, ts: str, count: Counted) -> None:
        """Its own count, as it stands in this chain."""
        self._of(chain).reach(ts, count.open)
        self._served.append(_Served(ts, chain, count))

    def end(self, chain: str, still_open: int) -> None:
        """The chain is read; so many requests may still end."""
        self._of(chain).still_open = still_open

    def newest(self) -> list[Counted]:
        """The last count of each of its processes."""
        return list({each.count.life: each.count for each in self._served}.values())

    def differences(self, read_to: Mapping[str, str]) -> list[Difference]:
        """All growth beyond what was sent there. `read_to`: of chains that still grow, up to when they were read.

        A count that is later than another such chain was read is left for the next time.
        """
        found: list[Difference] = []
        grow = {chain: ts for chain, ts in read_to.items() if chain in self._chains}
        served_then = [
            each for each in self._served if all(each.ts <= ts for chain, ts in grow.items() if chain != each.chain)
        ]
        ordered = sorted(served_then, key=lambda each: each.ts)
        base = self._settled(ordered[0]) if ordered else 0
        trusted: dict[str, int] = {}
        served: dict[str, int] = {}
        told, before = 0, ""
        for each in ordered:
            life, taken = each.count.life, each.count.taken
            begun_since = bool(before) and _time(each.count.since_unix_s) > ordered[0].ts
            first = trusted.setdefault(life, 0 if begun_since else taken)
            served[life] = max(served.get(life, 0), taken - first)
            more = sum(served.values()) - (self._reached(each) - base)
            if more > told:
                found.append(self._difference(each, more - told, before))
                told = more
            before = each.ts
        return found

    def _settled(self, first: _Served) -> int:
        """What the chains had for certain at the first count; rule (4)."""
        return sum(chain.settled(first.ts) for chain in self._chains.values())

    def _reached(self, served: _Served) -> int:
        """What all chains account for at a count; rule (3)."""
        return sum(chain.reached(served.ts) for chain in self._chains.values())

    def _difference(self, served: _Served, more: int, before: str) -> Difference:
        return Difference(
            kind="upstream",
            target=self.target,
            life=served.count.life,
            who=served.chain,
            count=more,
            since=before,
            until=served.ts,
            text=f"{more} served by the upstream that no record names: it was asked past the gate",
        )

    def _of(self, chain: str) -> _Chain:
        return self._chains.setdefault(chain, _Chain())


def _time(unix_s: float) -> str:
    """A time as records have it; the beginning of time for what is out of range."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        return ""
