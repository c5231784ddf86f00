"""What a route's dialect hands to the request flow.

`read` turns a body into one of five wishes: `Asked` (work for an engine), `Loaded` (the documented
load or unload object, which needs no engine), `Lookup` (a question about the catalogue), `Report` (about
the gateway itself), `OwnReport` (about who asks). A `Renderer`
writes one answer in the dialect; it is made for one request and keeps its state.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from engine.errors import EngineError
from policies.authorization import Grant
from policies.call import Call, Event, ModelCard, ModelDescription
from policies.errors import Refused


class Answer(Struct, frozen=True, kw_only=True):
    """A complete reply. `headers` come on top of those that every reply carries."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Started(Struct, frozen=True, kw_only=True):
    """Facts of the exchange a renderer may show. `arrived_ns` and `dispatched_ns` are Unix time."""

    request_id: str
    arrived_ns: int
    dispatched_ns: int


class Renderer(Protocol):
    """Writes the events of one answer. When `streamed` is False all bytes come with the last event."""

    streamed: bool
    content_type: str

    def start(self, started: Started) -> None:
        """Called once, before the first event."""
        ...

    def event(self, event: Event, now_ns: int) -> bytes:
        """The bytes to send for `event`, possibly none. Every stream ends with `Final`; with it the answer is whole."""
        ...

    def failure(self, error: Refused | EngineError | None, request_id: str) -> bytes:
        """The last bytes of a stream that broke after its status was sent. None means a bug of ours."""
        ...


class Asked(Struct, frozen=True, kw_only=True):
    """Work for an engine: the call, who writes its answer, how long the caller would have the model stay loaded."""

    call: Call
    renderer: Renderer
    keep_alive_s: float | None = None


class Loaded(Struct, frozen=True, kw_only=True):
    """Answered without an engine once the model is authorised; `answer` gets Unix nanoseconds."""

    model: str
    answer: Callable[[int], Answer]
    keep_alive_s: float | None = None


class Lookup(Struct, frozen=True, kw_only=True):
    """A question about the catalogue. `model` None asks for all that the team may use, with `loaded` those of them that
    are in memory; with `describe` the engine is asked for the rest. `answer` gets the visible cards (one for a named
    model).
    """

    answer: Callable[[tuple[ModelCard, ...], ModelDescription | None], Answer]
    model: str | None = None
    describe: bool = False
    loaded: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """A page about the gateway itself, made when it is asked for."""

    answer: Callable[[], Awaitable[Answer]]


class OwnReport(Struct, frozen=True, kw_only=True):
    """A page about whoever asks for it."""

    answer: Callable[[Grant], Answer]


Wish = Asked | Loaded | Lookup | Report | OwnReport


class Dialect(Protocol):
    """One way of speaking: its name, and its words for every error."""

    name: str

    def error(self, error: Refused | EngineError | None, request_id: str) -> Answer:
        """The reply for `error` before the first byte; None means a bug of ours (500)."""
        ...
