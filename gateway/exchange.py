"""One exchange: what is known of a request so far, for its log line and its audit records.

The flow writes each step's evidence here as it is proven; the audit records are made from it by
`gateway.request_audit`. Nothing here is a prompt, a header or a key.
"""

from collections.abc import Callable

from gateway.clock import Clock
from gateway.dialects.contract import Renderer
from gateway.incoming import Incoming, ListenerName, TlsFacts
from gateway.request_id import new_request_id
from gateway.routes import Match
from policies.call import Embedded, Event, Final, ModelCard, Reasoning, Text, ToolCalled, Usage
from policies.errors import Refused
from policies.networks import Address
from policies.principal import Principal


class Exchange:
    """The facts of one request, from its first byte to its last record."""

    def __init__(self, incoming: Incoming, clock: Clock) -> None:
        self._clock = clock
        self.arrived_ns = clock.unix_ns()
        self.arrived_mono_ns = clock.mono_ns()
        self.id = new_request_id(self.arrived_ns)
        self.method = incoming.method
        self.listener: ListenerName = incoming.listener
        self.peer = incoming.peer
        self.tls: TlsFacts | None = incoming.tls
        self.match: Match | None = None
        self.client: Address | None = None
        self.principal: Principal | None = None
        self.model: ModelCard | None = None
        self.target = ""
        self.dispatched_ns = 0
        self.queued_ns = 0
        self.first_event_ns = 0
        self.usage = Usage()
        self.finish = ""
        self.bytes_in = 0
        self.bytes_out = 0
        self.status = 0
        self.renderer: Renderer | None = None
        self.cut: Refused | None = None
        self.stop: Callable[[], object] = lambda: None

    @property
    def dialect(self) -> str:
        """The dialect to answer in, also before a route is known."""
        return self.match.dialect if self.match else "ollama"

    def elapsed_ns(self) -> int:
        """Nanoseconds since arrival, on the monotonic clock."""
        return self._clock.mono_ns() - self.arrived_mono_ns

    def dispatched(self, target: str) -> None:
        """The request got its slot."""
        self.target = target
        self.dispatched_ns = self._clock.unix_ns()
        self.queued_ns = self.elapsed_ns()

    def note(self, event: Event) -> None:
        """Take from an engine's event what the log needs: times and counts, never text."""
        if isinstance(event, Text | Reasoning | ToolCalled | Embedded) and not self.first_event_ns:
            self.first_event_ns = self.elapsed_ns()
        if isinstance(event, Final):
            self.usage = event.usage
            self.finish = event.reason

    def cut_off(self, cause: Refused) -> None:
        """End the request from outside (revoked key, drain): its stream ends with `cause`."""
        if self.cut is None:
            self.cut = cause
            self.stop()
