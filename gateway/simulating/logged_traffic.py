"""Last week's traffic out of the audit log's lines: what reached the queue, and how long it then took.

Rules:
(1) Each request has one last record, written when it was served, cut, left by its caller, or turned away. Its arrival
    is that record's time less the time it took.
(2) What counts is what reached the queue: all that ran, what the queue turned away (`request.shed`), and callers that
    left while they waited. What a limit, an address or a credential stopped before never counts; what limits stopped
    is counted apart, for it would come through under wider ones.
(3) An answer that was cut off counts with the length it got.
(4) Of what never ran, the log knows no lengths: they are drawn from those of its team that ran, with their spread,
    since equal lengths would queue less than real ones do.
(5) The log has no prompt, and nothing here asks for one.
"""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.simulating.arrivals import Arrival
from gateway.simulating.time_window import Window
from gateway.simulating.trace_file import ANY_LENGTH, MAX_ROWS

ENDINGS = frozenset({"request.completed", "request.failed", "request.aborted", "request.cut"})
EMBEDDING_ROUTES = frozenset({"/api/embed", "/api/embeddings", "/v1/embeddings"})


class NoTraffic(Exception):
    """The log holds nothing to simulate; the message is one line with the remedy."""


class _Actor(Struct, frozen=True):
    team: str = ""


class _Action(Struct, frozen=True):
    route: str = ""
    model: str = ""
    base_model: str = ""


class _Decision(Struct, frozen=True):
    effect: str = ""


class _Params(Struct, frozen=True):
    max_output_tokens: int | None = None


class _Result(Struct, frozen=True):
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    queued_ms: float = 0.0
    ttft_ms: float | None = None
    dur_ms: float = 0.0
    target: str = ""


class _Record(Struct, frozen=True):
    """The parts of a record that matter here; any other is passed over."""

    ts: datetime
    event: str
    actor: _Actor = _Actor()
    action: _Action = _Action()
    decision: _Decision = _Decision()
    params: _Params = _Params()
    result: _Result = _Result()


class LoggedRequest(Struct, frozen=True, kw_only=True):
    """One request that reached the queue. Times from `at_s` (its arrival, seconds since 1970).

    `target` is where it ran, from `queued_s` on; "" for one that never did. `first_s` is when its first token came,
    None for none.
    """

    at_s: float
    team: str
    model: str
    embeds: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    output_cap: int = ANY_LENGTH
    queued_s: float = 0.0
    first_s: float | None = None
    took_s: float = 0.0
    target: str = ""


class Logged(Struct, frozen=True):
    """What a stretch of the log holds: the requests by arrival, and how many lines were set aside for which reason."""

    requests: list[LoggedRequest]
    limited: int
    unreadable: int

    def models(self) -> list[tuple[str, int]]:
        """The models that were asked, the busiest first, with their requests (embeddings aside)."""
        return Counter(each.model for each in self.requests if not each.embeds).most_common()

    def of_model(self, model: str) -> list[LoggedRequest]:
        """The requests to one model that ask for text."""
        return [each for each in self.requests if each.model == model and not each.embeds]


_decode = msgspec.json.Decoder(_Record).decode


def read_log(lines: Iterable[bytes], window: Window) -> Logged:
    """The requests that arrived within `window`, from the lines of all chains. Raises NoTraffic for too many."""
    requests: list[LoggedRequest] = []
    limited = unreadable = 0
    for line in lines:
        try:
            record = _decode(line)
        except msgspec.DecodeError:  # also a record that another version wrote with other types
            unreadable += 1
            continue
        if not window.holds(_arrived_s(record)):
            continue
        limited += record.event == "request.limited"
        if _reached_the_queue(record):
            requests.append(_request(record))
        if len(requests) > MAX_ROWS:
            raise NoTraffic(f"the log holds more than {MAX_ROWS} requests of that time: name a shorter stretch")
    return Logged(sorted(requests, key=_at_s), limited, unreadable)


def arrivals_of(requests: list[LoggedRequest], chance: random.Random) -> tuple[list[Arrival], int]:
    """The requests as a trace that begins with the first of them, and how many lengths were drawn (rule 4).

    Raises NoTraffic when none of them ran.
    """
    ran = [each for each in requests if each.target]
    if not ran:
        raise NoTraffic("the log holds no request of that time that ran: name a longer stretch, or give a --trace")
    by_team: dict[str, list[LoggedRequest]] = {}
    for each in ran:
        by_team.setdefault(each.team, []).append(each)
    start_s = requests[0].at_s
    arrivals = [
        _arrival(each, each if each.target else chance.choice(by_team.get(each.team, ran)), start_s)
        for each in requests
    ]
    return arrivals, len(requests) - len(ran)


def recorded_s(line: bytes) -> float | None:
    """When a record was written, in seconds since 1970; None for a line that is no record."""
    try:
        return _decode(line).ts.timestamp()
    except msgspec.DecodeError:
        return None


def _arrival(request: LoggedRequest, like: LoggedRequest, start_s: float) -> Arrival:
    return Arrival(
        at_s=request.at_s - start_s,
        team=request.team,
        prompt_tokens=like.prompt_tokens,
        cached_tokens=min(like.cached_tokens, like.prompt_tokens),
        output_tokens=like.output_tokens,
        output_cap=request.output_cap,
    )


def _reached_the_queue(record: _Record) -> bool:
    if not record.actor.team or not record.action.model:
        return False
    if record.event == "request.shed":
        return True
    waited = record.event == "request.aborted" and record.decision.effect == "allow"
    return record.event in ENDINGS and (bool(record.result.target) or waited)


def _request(record: _Record) -> LoggedRequest:
    result = record.result
    return LoggedRequest(
        at_s=_arrived_s(record),
        team=record.actor.team,
        model=record.action.base_model or record.action.model,  # an adapter's work is its base model's workers'
        embeds=record.action.route in EMBEDDING_ROUTES,
        prompt_tokens=max(result.prompt_tokens or 0, 0),
        cached_tokens=max(result.cached_tokens or 0, 0),
        output_tokens=max(result.output_tokens or 0, 0),
        output_cap=max(record.params.max_output_tokens or ANY_LENGTH, 1),
        queued_s=result.queued_ms / 1000,
        first_s=None if result.ttft_ms is None else result.ttft_ms / 1000,
        took_s=result.dur_ms / 1000,
        target=result.target,
    )


def _arrived_s(record: _Record) -> float:
    return record.ts.timestamp() - record.result.dur_ms / 1000


def _at_s(request: LoggedRequest) -> float:
    return request.at_s
