"""One exchange: what is known of a request so far, for its log line and its audit records.

The flow writes each step's evidence here as it is proven; the audit records are made from it by
`gateway.request_audit`. Nothing here is a header or a key, and a prompt only where `capture` follows it.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import structs

from engine.errors import EngineError
from engine.interface import TakenRun
from gateway.audit.content_keeper import Capture
from gateway.audit.recording import Recording
from gateway.clock import Clock
from gateway.dialects.contract import Renderer
from gateway.incoming import Incoming, TlsFacts
from gateway.policy_in_force import PolicyInForce
from gateway.request_id import new_request_id
from gateway.routes import Match, dialect_of
from gateway.stream_shape import Plain, StreamShape
from policies.access import ListenerName
from policies.addresses.networks import Address
from policies.admitting.effects import Forecast
from policies.audit_record import Actor
from policies.auditing.trace_context import read_trace_id
from policies.call import Embedded, Event, Final, ModelCard, Reasoning, Text, ToolCalled, Usage
from policies.credentials.principal import Principal
from policies.errors import Refused
from policies.limiting.limits import Reservation, Taken, Used
from policies.queue_wish import QueueTerms
from policies.standing import Standing

BYTES_PER_TOKEN = 4
"""The usual ratio of English text and JSON."""
UPSTREAM = "upstream"
"""What stands for the life of a target that tells none."""
PROMISE = "deadline_unreachable"
"""The code of a promise that cannot be kept."""

AdmissionDecision = Literal["admitted", "queued", "refused", "refused_late"]
"""A slot at once; a wait that was allowed; a refusal at once; a refusal after a wait."""


class Exchange:
    """The facts of one request, from its first byte to its last record."""

    def __init__(self, incoming: Incoming, clock: Clock) -> None:
        self._clock = clock
        self.arrived_ns = clock.unix_ns()
        self.arrived_mono_ns = clock.mono_ns()
        self.id = new_request_id(self.arrived_ns)
        self.method = incoming.method
        self.listener: ListenerName = incoming.listener
        self.peer, self.via = incoming.peer, incoming.via
        self.tls: TlsFacts | None = incoming.tls
        self.dialect = dialect_of(incoming.target)
        self.in_force: PolicyInForce | None = None
        self.origin = ""
        """The web origin whose page sent this, once step 0 found it allowed; empty without one."""
        self.match: Match | None = None
        self.client: Address | None = None
        self.principal: Principal | None = None
        self.shown = Actor()
        """Whom a refused credential names, while there is no principal."""
        self.rule = ""
        self.authorized = False
        self.recording: Recording | None = None
        """The record of the authorization, on its way."""
        self.params: Mapping[str, int | float | bool | None] = {}
        self.model: ModelCard | None = None
        self.target = ""
        self.dispatched_ns = 0
        self.taken_by: Callable[[], str] = str
        """Who has or had it, for the counts: the life of a worker, `upstream`, or "" for nobody."""
        self.forecast: Forecast | None = None
        """What the queue said of the wait when it was asked; None before that."""
        self.admission: AdmissionDecision | None = None
        self.queued_ns: int | None = None
        """From the queue's being asked to its last word: a slot, or a refusal."""
        self.terms: QueueTerms | None = None
        """On what terms the queue was asked; times count from the request's arrival."""
        self.turned_away_for = self.finish = self.refused_for = ""  # the last: why it was refused, failed or cut
        self.answered_ns = self.first_event_ns = self._asked_ns = 0
        self.prompt_tokens = 0
        self.usage = Usage()
        self.standings: tuple[Standing, ...] = ()
        self.would_refuse: tuple[str, ...] = ()
        self.bytes_in = self.bytes_out = self.status = 0
        self.renderer: Renderer | None = None
        self.shape: StreamShape = Plain()
        self.streaming = False
        """A stream has begun and its last words are still to come: only then can an error travel inside it."""
        self.cut: Refused | EngineError | None = None
        self.stop: Callable[[], object] = lambda: None
        self.trace_id = read_trace_id(incoming.headers)
        self.capture: Capture | None = None
        """What follows its content, once it is authorized; None where nothing does."""

    def elapsed_ns(self) -> int:
        """Nanoseconds since arrival, on the monotonic clock."""
        return self._clock.mono_ns() - self.arrived_mono_ns

    def queue_answered(self, forecast: Forecast, *, waits: bool) -> None:
        """The queue was asked: the request `waits`, or has a slot, or is about to be refused."""
        self.forecast = forecast
        self._asked_ns = self.elapsed_ns()
        if waits:
            self.admission = "queued"
        if forecast.would_refuse:
            self.would_refuse += (PROMISE,)

    def queued_on(self, terms: QueueTerms, spent_s: float) -> None:
        """The queue is asked on these terms, which count from `spent_s` after arrival."""
        promise_s = None if terms.promise_s is None else terms.promise_s + spent_s
        self.terms = structs.replace(terms, promise_s=promise_s, max_wait_s=terms.max_wait_s + spent_s)

    def waits_for_slot(self) -> bool:
        """True while it stands in the queue."""
        return self.admission == "queued" and self.queued_ns is None

    def dispatched(self, target: str) -> None:
        """The request got its slot."""
        self.target = target
        self.dispatched_ns = self._clock.unix_ns()
        self.queued_ns = self.elapsed_ns() - self._asked_ns
        self.admission = self.admission or "admitted"

    def taken(self, run: TakenRun | None) -> None:
        """The target has the request; `run` knows which worker that is, None for an upstream that began to answer."""
        self.taken_by = (lambda: UPSTREAM) if run is None else lambda: run.taken_by

    def back_in_queue(self) -> None:
        """The slot was taken: the request waits again, and has run nowhere."""
        self.taken_by = str
        self.target, self.dispatched_ns, self.queued_ns = "", 0, None
        self.admission = "queued"

    def slot_over(self) -> None:
        """The engine is done; its client may still read."""
        self.answered_ns = self.elapsed_ns()

    def slot_s(self) -> float:
        """How long it has held its slot, in seconds, until the engine's last event; 0 for one that has none."""
        if not self.target:
            return 0.0
        return ((self.answered_ns or self.elapsed_ns()) - self._asked_ns - (self.queued_ns or 0)) / 1e9

    def turned_away(self, reason: str) -> None:
        """What has no slot is refused for want of one; says nothing of a request that never asked for one."""
        if self.forecast is not None and not self.target:
            self.turned_away_for = reason
            self.queued_ns = self.elapsed_ns() - self._asked_ns
            self.admission = "refused_late" if self.admission == "queued" else "refused"

    def limits_told(self, outcome: Taken | Reservation) -> None:
        """Keep what a step's limits say of themselves: for the caller's headers, and what `report` would refuse."""
        self.standings += outcome.standings
        self.would_refuse += outcome.would_refuse

    def used(self, *, failed: bool) -> Used:
        """The tokens to settle: the engine's own counts, or as many as were passed on when it was cut short.

        From its dispatch on a prompt counts, whether or not the caller stays to hear the answer; only what fails
        for our reasons (`failed`) before anything came costs nothing.
        """
        usage = self.usage
        if usage == Usage() and not self.finish and self.target and not failed:
            return Used(self.prompt_tokens, 0)
        return Used(usage.prompt_tokens, usage.output_tokens)

    def note(self, event: Event) -> None:
        """Take from an engine's event what the log needs: times and counts, never text.

        Until the engine's own counts come with its last event, what was passed on counts, so that a request that
        is cut off leaves a record of what it had.
        """
        if self.capture is not None:
            self.capture.take(event)
        if isinstance(event, Text | Reasoning | ToolCalled | Embedded) and not self.first_event_ns:
            self.first_event_ns = self.elapsed_ns()
        if passed_on := tokens_of(event):
            output_tokens = self.usage.output_tokens + passed_on
            self.usage = Usage(prompt_tokens=self.prompt_tokens, output_tokens=output_tokens)
        if isinstance(event, Final):
            self.usage = event.usage
            self.finish = event.reason
            self.answered_ns = self.answered_ns or self.elapsed_ns()

    def cut_off(self, cause: Refused | EngineError) -> None:
        """End the request from outside (revoked key, drain, time limit): its stream ends with `cause`."""
        if self.cut is None:
            self.cut = cause
            self.stop()

    def being_refused(self) -> None:
        """The request ends anyway: what would end it from outside must not keep its answer from the caller."""
        self.stop = lambda: None


def tokens_of(event: Event) -> int:
    """The output tokens in one event; a tool call, which comes whole and without a count, is estimated."""
    match event:
        case Text() | Reasoning():
            return event.tokens
        case ToolCalled():
            if event.tokens is not None:
                return event.tokens
            return -(-len(msgspec.json.encode(event.call)) // BYTES_PER_TOKEN)
    return 0
