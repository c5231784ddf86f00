"""What `policies.auditing.reconcile` reads of a record, and what it answers."""

from typing import Literal

from msgspec import Raw, Struct, field, json

POOL, UPSTREAM = "pool:", "upstream:"
READ_EVENTS = frozenset({"gateway.started", "worker.counted"})
Kind = Literal["requests", "tokens", "nobody", "without_end", "upstream"]
"""More or fewer requests than recorded; tokens; starts under no gateway's name; an authorised request without an end;
more served by an upstream than was sent there."""


class LineResult(Struct, frozen=True):
    """The part of a record's `result` that is compared."""

    target: str = ""
    taken_by: str = ""
    finish: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0


class Counted(Struct, frozen=True):
    """The details of a `worker.counted` record, and `process` of `gateway.started`."""

    target: str = ""
    life: str = ""
    gateway: str = ""
    taken: int = 0
    ended: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    open: int = 0
    since_unix_s: float = 0.0
    process: str = ""


class _Kept(Struct, frozen=True):
    """What is read of a record whatever it tells. `ts` is its time as it stands there; such times sort as texts."""

    seq: int
    ts: str = ""
    event: str = ""
    stage: str = ""
    req_id: str = ""
    result: LineResult = field(default_factory=LineResult)


class Line(_Kept, frozen=True):
    """What is read of a record."""

    details: Counted = field(default_factory=Counted)


class _Stored(_Kept, frozen=True):
    """A line whose details are read only where they are ours: other events have fields of the same names."""

    details: Raw = Raw(b"{}")


_decoder = json.Decoder(_Stored)


def read_line(data: bytes) -> Line:
    """What is compared of a stored line. Raises msgspec.MsgspecError for one that is no record."""
    stored = _decoder.decode(data)
    details = json.decode(stored.details, type=Counted) if stored.event in READ_EVENTS else Counted()
    return Line(stored.seq, stored.ts, stored.event, stored.stage, stored.req_id, stored.result, details)


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that does not fit: `count` requests or tokens more, or fewer when negative, between two times.

    `who` is the gateway's process, or the chain where it has no name. `since` is empty for a worker's start.
    `found` is the time of the record that showed an end to be missing, which may be long after `until`.
    """

    kind: Kind
    target: str
    life: str
    who: str
    count: int
    since: str
    until: str
    text: str
    request_id: str = ""
    found: str = ""


class Sum(Struct):
    """What was recorded of requests that a target took. `finished` ended by themselves, and the tokens are theirs."""

    taken: int = 0
    finished: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0

    @property
    def cut(self) -> int:
        """Those that were cut short or failed."""
        return self.taken - self.finished

    def add(self, result: LineResult) -> None:
        """One more request, by its record's result."""
        self.taken += 1
        if result.finish:
            self.finished += 1
            self.prompt_tokens += result.prompt_tokens
            self.output_tokens += result.output_tokens


class TargetSum(Struct, frozen=True, kw_only=True):
    """One target for the report: requests and the output tokens of those that ended, recorded and counted."""

    target: str
    recorded: int
    recorded_output_tokens: int
    counted: int
    counted_output_tokens: int


class Reconciliation(Struct, frozen=True, kw_only=True):
    """The differences, and what was compared.

    `running` requests are open in a gateway that still runs; `uncounted` were recorded after the last count of their
    chain; `last_count` is the time of the latest count, empty when there is none.
    """

    differences: tuple[Difference, ...]
    targets: tuple[TargetSum, ...]
    running: int
    uncounted: int
    last_count: str


def within(found: Reconciliation, since: str, until: str) -> Reconciliation:
    """Of `found` the differences that may have come between two times, either empty for no bound.

    A difference lies between two counts; it is left out only where all of that is outside.
    """
    kept = [
        each
        for each in found.differences
        if (not since or each.until >= since) and (not until or (each.since or each.until) <= until)
    ]
    return Reconciliation(
        differences=tuple(kept),
        targets=found.targets,
        running=found.running,
        uncounted=found.uncounted,
        last_count=found.last_count,
    )
