"""Holds what workers and upstreams counted against the records: is there work that no record names?

Decides over the records of all chains, in their order; reads no files (gateway/cli/audit_reconcile.py does), and does
not prove the chains whole (`corral audit verify` does). Upstreams: policies/auditing/reconcile_upstreams.py. Rules:
 (1) A request counts for a worker's life when a record of its end says that this life took it, once for each request
     id: a client that leaves while its last bytes are sent has two ends.
 (2) At each count of a gateway's own tally, taken by the worker = recorded before it in this chain + open by the
     gateway's word, and no more may be open than requests authorised there without an end. What grows beyond is a
     difference, between this count and the one before.
 (3) Fewer taken than recorded is a difference too, but for requests that were cut short or failed: one that its caller
     left, or whose worker died, may never have been read there.
 (4) Tokens are compared of requests that ended by themselves: never more in the records than the worker made, and
     exactly as many where both know of the same number of such ends. (A cancel can cross an end on its way.)
 (5) A gateway that died leaves authorised requests without an end. Each is named; what its workers took beyond the
     records is theirs, up to their number. Its tally is written by the gateways after it.
 (6) What was started under no gateway's name, or under that of one whose chain is not here, is a difference.
 (7) The chains of gateways that run are read one after the other: what one tells of another later than that one was
     read is left for the next time, and what is still open there may be what was taken.
 (8) Where a chain was pruned, its first counts are taken on trust until the next start of its gateway.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from policies.auditing.reconcile_records import (
    UPSTREAM,
    Counted,
    Difference,
    Kind,
    Line,
    Reconciliation,
    Sum,
    TargetSum,
)
from policies.auditing.reconcile_upstreams import UpstreamBook

MAX_CLOSED = 1 << 17
"""Ids of ended requests that are remembered for rule (1): minutes of the heaviest load, beyond any write timeout."""
TOKENS = ("prompt_tokens", "output_tokens")


class _Tally(Struct):
    """The comparison of one process with one life: its latest count, and what of it was told so far."""

    count: Counted
    ts: str
    surplus: int = 0
    fewer: int = 0
    tokens: dict[str, int] = field(default_factory=dict)


class _Step(Struct, frozen=True):
    """A tally that somebody else wrote, when it had grown."""

    ts: str
    count: Counted


class Reconciler:
    """Feed it the chains one after the other (`begin`, `take`, `end`), then ask for the `result`."""

    def __init__(self) -> None:
        self._differences: list[Difference] = []
        self._own: dict[tuple[str, str], _Tally] = {}
        self._others: dict[tuple[str, str], list[_Step]] = {}
        self._sums: dict[tuple[str, str], Sum] = {}
        self._targets: dict[str, Sum] = {}
        self._upstreams: dict[str, UpstreamBook] = {}
        self._lost: dict[str, int] = {}
        self._lost_in: dict[str, int] = {}
        self._running = self._uncounted = self._since_count = 0
        self._last_count = self._chain = self._process = self._last_ts = ""
        self._alive: dict[str, tuple[int, str]] = {}
        self._read_to: dict[str, str] = {}
        self._pruned = False
        self._open: dict[str, tuple[int, str]] = {}
        self._closed: dict[str, None] = {}

    def begin(self, chain: str, first_seq: int) -> None:
        """The lines of `chain` follow, from `first_seq` on."""
        self._chain, self._process, self._pruned = chain, "", first_seq > 0
        self._open, self._closed, self._since_count = {}, {}, 0

    def take(self, line: Line) -> None:
        """The next record of the chain."""
        self._last_ts = line.ts or self._last_ts
        if line.event == "gateway.started":
            self._lose(f"its gateway died before {line.ts}")
            self._begin_process(line.details.process)
        elif line.event == "gateway.stopped":
            self._lose(f"its gateway stopped at {line.ts}")
        elif line.event == "worker.counted":
            self._take_count(line)
        elif line.stage == "authorized":
            self._open[line.req_id] = (line.seq, line.ts)
        elif line.req_id:
            self._take_end(line)

    def end(self, *, runs: bool) -> None:
        """The chain's lines are over. `runs`: its gateway does, so what is open there may still end."""
        still_open = len(self._open) if runs else 0
        if runs:
            self._alive[self._process] = (still_open, self._last_ts)
            self._read_to[self._chain] = self._last_ts
        else:
            self._lose("its gateway is gone")
        self._running += still_open
        self._uncounted += self._since_count
        for book in self._upstreams.values():
            book.end(self._chain, still_open)

    def result(self) -> Reconciliation:
        """The judgement over all chains."""
        upstreams = [each for _, book in sorted(self._upstreams.items()) for each in book.differences(self._read_to)]
        return Reconciliation(
            differences=(*self._differences, *self._of_others(), *upstreams),
            targets=tuple(self._target_sums()),
            running=self._running,
            uncounted=self._uncounted,
            last_count=self._last_count,
        )

    # ---- one record

    def _begin_process(self, process: str) -> None:
        self._process, self._pruned = process, False
        self._lost.setdefault(process, 0)
        for book in self._upstreams.values():
            book.begin_process(self._chain)

    def _take_end(self, line: Line) -> None:
        self._open.pop(line.req_id, None)
        result = line.result
        if not result.target or line.req_id in self._closed:
            return
        self._closed[line.req_id] = None
        if len(self._closed) > MAX_CLOSED:
            del self._closed[next(iter(self._closed))]
        if result.target.startswith(UPSTREAM):
            self._book(result.target).ended(self._chain, result)
        if result.taken_by:
            self._sum(result.taken_by).add(result)
            self._targets.setdefault(result.target, Sum()).add(result)
            self._since_count += 1

    def _take_count(self, line: Line) -> None:
        self._last_count = max(self._last_count, line.ts)
        count = line.details
        if count.target.startswith(UPSTREAM):
            self._book(count.target).counted(self._chain, line.ts, count)
            self._since_count = 0
        elif count.gateway == self._process:
            self._judge(line)
            self._since_count = 0
        else:
            self._note_other(line)

    def _book(self, target: str) -> UpstreamBook:
        if target not in self._upstreams:
            self._upstreams[target] = book = UpstreamBook(target)
            for chain, count in self._lost_in.items():
                book.lost(chain, count)
        return self._upstreams[target]

    def _sum(self, life: str) -> Sum:
        return self._sums.setdefault((self._process, life), Sum())

    # ---- rules (2) to (4)

    def _judge(self, line: Line) -> None:
        count, summed = line.details, self._sum(line.details.life)
        surplus = count.taken - summed.taken - min(count.open, len(self._open))
        tally = self._own.get((self._process, count.life))
        if tally is None:
            tally = _Tally(count, line.ts, surplus) if self._pruned else _Tally(Counted(), "")
            self._own[self._process, count.life] = tally
        if surplus > tally.surplus:
            more = surplus - tally.surplus
            self._differ(tally, line, "requests", more, f"{more} taken by the worker that no record names")
        self._judge_fewer(tally, line, -surplus - summed.cut)
        if not self._pruned:
            self._judge_tokens(tally, line, summed)
        tally.count, tally.ts, tally.surplus = count, line.ts, surplus

    def _judge_fewer(self, tally: _Tally, line: Line, fewer: int) -> None:
        if fewer > tally.fewer:
            more = fewer - tally.fewer
            self._differ(tally, line, "requests", -more, f"{more} recorded that the worker never took")
            tally.fewer = fewer

    def _judge_tokens(self, tally: _Tally, line: Line, summed: Sum) -> None:
        for name in TOKENS:
            more = getattr(line.details, name) - getattr(summed, name)
            told = tally.tokens.get(name, 0)
            comparable = more < 0 or line.details.ended == summed.finished
            if comparable and more != told:
                tally.tokens[name] = more
                if abs(more) > abs(told):
                    word = "more" if more > 0 else "fewer"
                    text = (
                        f"{abs(more - told)} {name.replace('_', ' ')} {word} by the worker's count than in the records"
                    )
                    self._differ(tally, line, "tokens", more - told, text)

    def _differ(self, tally: _Tally, line: Line, kind: Kind, count: int, text: str) -> None:
        difference = Difference(
            kind=kind,
            target=line.details.target,
            life=line.details.life,
            who=self._process or self._chain,
            count=count,
            since=tally.ts,
            until=line.ts,
            text=text,
        )
        self._differences.append(difference)

    # ---- what nobody ended, or started: rules 5 and 6

    def _lose(self, why: str) -> None:
        """A process of this chain is over: what it had authorised has no end any more."""
        for request_id, (seq, ts) in self._open.items():
            difference = Difference(
                kind="without_end",
                target="",
                life="",
                who=self._process or self._chain,
                count=1,
                since=ts,
                until=ts,
                text=f"authorised in {self._chain} at seq {seq}, and no end: {why}",
                request_id=request_id,
                found=self._last_ts,
            )
            self._differences.append(difference)
        if self._open:
            self._lost[self._process] = self._lost.get(self._process, 0) + len(self._open)
            self._lost_in[self._chain] = self._lost_in.get(self._chain, 0) + len(self._open)
            for book in self._upstreams.values():
                book.lost(self._chain, len(self._open))
        self._open = {}

    def _note_other(self, line: Line) -> None:
        """The tally of a gateway that is gone, or of nobody. Several chains may tell the same."""
        steps = self._others.setdefault((line.details.gateway, line.details.life), [])
        steps.append(_Step(line.ts, line.details))

    def _of_others(self) -> Iterable[Difference]:
        left = {name: lost + self._alive.get(name, (0, ""))[0] for name, lost in self._lost.items()}
        for (name, life), steps in sorted(self._others.items()):
            own, summed = self._own.get((name, life)), self._sums.get((name, life), Sum())
            covered, since = summed.taken + (own.surplus if own else 0), own.ts if own else ""
            told = [step for step in steps if name not in self._alive or step.ts <= self._alive[name][1]]
            for step in sorted(told, key=lambda each: (each.count.taken, each.ts)):
                more = step.count.taken - covered
                lost = min(max(more, 0), left.get(name, 0))
                left[name] = left.get(name, 0) - lost
                if more > lost:
                    yield _outsiders(name, step, since, more - lost, known=name in self._lost)
                covered, since = max(covered, step.count.taken), step.ts

    # ---- the report

    def _target_sums(self) -> Iterable[TargetSum]:
        counted: dict[str, list[Counted]] = {}
        for tally in self._own.values():
            counted.setdefault(tally.count.target, []).append(tally.count)
        for key, steps in self._others.items():
            if key not in self._own:
                counted.setdefault(steps[0].count.target, []).append(
                    max(steps, key=lambda each: each.count.taken).count
                )
        for target, book in self._upstreams.items():
            counted[target] = book.newest()
        for target in sorted({*self._targets, *counted}):
            recorded, told = self._targets.get(target, Sum()), counted.get(target, [])
            yield TargetSum(
                target=target,
                recorded=recorded.taken,
                recorded_output_tokens=recorded.output_tokens,
                counted=sum(each.taken for each in told),
                counted_output_tokens=sum(each.output_tokens for each in told),
            )


def _outsiders(name: str, step: _Step, since: str, more: int, *, known: bool) -> Difference:
    if known:
        who = f"in the name of {name}, which recorded none of it"
    else:
        who = f"in the name of {name}, which no chain here knows" if name else "under no gateway's name"
    return Difference(
        kind="requests" if known else "nobody",
        target=step.count.target,
        life=step.count.life,
        who=name,
        count=more,
        since=since,
        until=step.ts,
        text=f"{more} put into the worker's socket {who}; {step.count.output_tokens} output tokens by its count",
    )
