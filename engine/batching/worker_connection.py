"""One gateway's connection to a worker: frames in, frames out, never blocking.

What cannot be sent at once waits here. A gateway that does not read is cut off at `MAX_UNSENT_BYTES`:
its requests would otherwise fill the worker's memory, which all gateways share.
"""

import socket

from engine.frames import PROTOCOL_VERSION, Frame, FrameError, FrameReader, Hello, WorkerRequest, encode

MAX_UNSENT_BYTES = 64 * 1024 * 1024
_RECEIVE_BYTES = 256 * 1024


class ConnectionLost(Exception):
    """The other side is gone, broke the protocol, or does not read."""


class Connection:
    """A non-blocking stream socket that carries frames. Compared by identity: it owns its requests."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._stream = stream
        self._reader = FrameReader(WorkerRequest)
        self._unsent = bytearray()
        self.is_greeted = False  # its Hello came
        self.hears_steps = False
        self.name = ""
        self.said_farewell = False

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def sends_no_start(self) -> bool:
        """From now on: it said farewell, or it is the supervisor's, which hears no steps."""
        return self.said_farewell or (self.is_greeted and not self.hears_steps)

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def receive(self) -> list[Frame]:
        """The frames that came, without the Hello. Raises ConnectionLost."""
        try:
            data = self._stream.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError as fault:
            raise ConnectionLost(f"cannot receive: {fault}") from None
        if not data:
            raise ConnectionLost("closed by the gateway")
        try:
            frames = self._reader.feed(data)
        except FrameError as fault:
            raise ConnectionLost(str(fault)) from None
        return frames if self.is_greeted else self._greet(frames)

    def send(self, frame: Frame) -> None:
        """Send a frame, now or as soon as the socket takes it. Raises ConnectionLost."""
        self._unsent += encode(frame)
        self.flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            raise ConnectionLost(f"the gateway left {len(self._unsent)} bytes unread")

    def flush(self) -> None:
        """Send what the socket takes now. Raises ConnectionLost."""
        while self._unsent:
            try:
                sent = self._stream.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as fault:
                raise ConnectionLost(f"cannot send: {fault}") from None
            del self._unsent[:sent]

    def close(self) -> None:
        self._stream.close()

    def _greet(self, frames: list[Frame]) -> list[Frame]:
        if not frames:
            return []
        hello, rest = frames[0], frames[1:]
        if not isinstance(hello, Hello) or hello.version != PROTOCOL_VERSION:
            raise ConnectionLost(f"the first frame is not a Hello of version {PROTOCOL_VERSION}")
        self.is_greeted = True
        self.hears_steps = hello.steps
        self.name = hello.name
        return rest
