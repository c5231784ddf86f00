"""How the bytes of a streamed answer are cut into writes, so that their sizes say less of what is written.

Each write becomes one TLS record, whose size anybody on the line reads: with plain streaming that is the length of
each token, which was enough to tell a conversation's topic (Whisper Leak, arXiv 2511.03675). Per team:

- `plain`: each event as it comes.
- `padded`: every write has one of `WRITE_BYTES`, filled up with what clients pass over: a comment in server-sent
  events (they begin with a colon), blanks before the line end in lines of JSON. Larger events are cut.
- `batched`: as padded, and text is held back until the first event that comes `BATCH_NS` or more after the last
  write, or until enough is there; so the number and the times of writes follow the clock more than the tokens.

With the chunk's frame a write is 1,024 or 4,096 bytes; the head of the answer gets one of these too (`HEAD_SIZES`).
The chunk that ends the body and TLS's own goodbye make four sizes of records in all.

What stays: the length of the answer (the number of writes), when it began and ended, the pace of the model (padded:
token by token; batched: a pause longer than `BATCH_NS`), and answers that are not streamed, whose length shows.
No mitigation is complete; whoever needs more puts a tunnel of constant rate around it.
"""

from collections import deque
from typing import Literal, Protocol

StreamMode = Literal["plain", "padded", "batched"]

WRITE_BYTES = (1017, 4089)
"""A chunk's frame takes 7 bytes more: three hexadecimal digits and two line ends. The small one holds any token."""
HEAD_SIZES = "1024 4096"
"""What `X-Padding` asks of the reply: a head of one of these sizes."""
BATCH_NS = 250_000_000
"""Four writes a second still read as a flow; at 60 tokens a second each holds 15 of them."""

_FILL = {"text/event-stream": "comment", "application/x-ndjson": "blanks"}


class Written(Protocol):
    """What is known of an answer before its first byte: `gateway.dialects.contract.Renderer`."""

    streamed: bool
    content_type: str


class StreamShape(Protocol):
    """Takes a stream's bytes, event by event, and gives them back as the writes to make."""

    pads_head: bool

    def add(self, data: bytes, now_ns: int) -> None:
        """One event's bytes, whole; `now_ns` is any steadily growing time in nanoseconds."""
        ...

    def finish(self, data: bytes) -> None:
        """The last bytes: with what was held back they are due now."""
        ...

    def take(self) -> bytes:
        """The next write, b"" when none is due. What is taken must be written, else the stream has a hole."""
        ...


class Plain:
    """Each event as it comes."""

    pads_head = False

    def __init__(self) -> None:
        self._due: deque[bytes] = deque()

    def add(self, data: bytes, now_ns: int) -> None:  # noqa: ARG002  # the time is the other shapes'
        """See StreamShape."""
        self._due.append(data)

    def finish(self, data: bytes) -> None:
        """See StreamShape."""
        self._due.append(data)

    def take(self) -> bytes:
        """See StreamShape."""
        return self._due.popleft() if self._due else b""


class Shaped:
    """Writes of few sizes; with a `hold_ns` above 0 no more often than that."""

    pads_head = True

    def __init__(self, content_type: str, hold_ns: int = 0) -> None:
        fill = _FILL.get(content_type.partition(";")[0])
        if fill is None:
            raise ValueError(f"a stream of {content_type} cannot be padded")
        self._comments = fill == "comment"
        self._hold_ns = hold_ns
        self._held = b""
        self._sent_ns: int | None = None
        self._due: deque[bytes] = deque()

    def add(self, data: bytes, now_ns: int) -> None:
        """See StreamShape."""
        self._held += data
        waited = self._sent_ns is None or now_ns - self._sent_ns >= self._hold_ns
        if waited or len(self._held) >= WRITE_BYTES[-1]:
            self._sent_ns = now_ns
            self._cut()

    def finish(self, data: bytes) -> None:
        """See StreamShape."""
        self._held += data
        self._cut()

    def take(self) -> bytes:
        """See StreamShape."""
        return self._due.popleft() if self._due else b""

    def _cut(self) -> None:
        """All that is held, in pieces of the largest size and one that is filled up."""
        held, self._held, largest = self._held, b"", WRITE_BYTES[-1]
        for start in range(0, len(held), largest):
            piece = held[start : start + largest]
            self._due.append(piece if len(piece) == largest else self._filled(piece))

    def _filled(self, data: bytes) -> bytes:
        """`data`, which ends an event and so a line, at the next size."""
        lacks = next(size for size in WRITE_BYTES if size >= len(data)) - len(data)
        if not self._comments:
            return b"%b%b\n" % (data[:-1], b" " * lacks)
        # A comment takes three bytes at least; an empty line alone is passed over as well.
        return data + (b":%b\n\n" % (b"." * (lacks - 3)) if lacks >= 3 else b"\n" * lacks)


def stream_shape(mode: StreamMode, answer: Written) -> StreamShape:
    """The shape for one answer; one that comes whole has none. Raises ValueError for a type that cannot be padded."""
    if mode == "plain" or not answer.streamed:
        return Plain()
    return Shaped(answer.content_type, hold_ns=BATCH_NS if mode == "batched" else 0)
