"""One connection of a gateway to one engine process: frames over a Unix socket, made again when lost.

Life of a channel: `open` → connect → greet with `Hello` → the other side's hello, checked → `greeted`
→ frames → `lost` → back-off → connect again; until `close`. There is no time limit on the hello: the
supervisor holds the listening socket, so a connection made while the process still loads its model (or
is being restarted) simply waits in the backlog.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Protocol

from engine.frames import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Frame,
    FrameError,
    FrameReader,
    Hello,
    PreparerHello,
    WorkerHello,
    encode,
)
from engine.loader_frames import LoaderHello
from engine.restarts import doubling_s

log = logging.getLogger("corral.engine")

READ_BYTES = 256 * 1024
FIRST_RETRY_S, LONGEST_RETRY_S = 0.05, 2.0
# A process that does not read (a long prefill) may be sent this much ahead; beyond it it counts as stuck.
UNSENT_BYTES = 128 * 1024 * 1024
# Without steps no more comes than a hello and totals: a worker that was taken over shall not fill the supervisor.
MOST_BYTES_WITHOUT_STEPS = 1024 * 1024

AnyHello = WorkerHello | PreparerHello | LoaderHello


class ChannelClosed(Exception):
    """There is no connection to send on; `reason` for log and audit."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


GREETING = Hello(version=PROTOCOL_VERSION)


class Listener(Protocol):
    """Who uses a channel. All three are called on the event loop and must not block.

    `greeted` may raise FrameError to refuse what the other side says it is; `lost` follows every
    `greeted` that returned, exactly once.
    """

    def greeted(self, hello: Any) -> None: ...
    def received(self, frame: Any) -> None: ...
    def lost(self, reason: str) -> None: ...


class Channel:
    """See the head of the module. `answers` is the union of frames the other side may send.

    `hello` is what this side says first. No frame of the other side may have more than `most_bytes`, and no large one
    may come from a worker that was asked to send no steps.
    """

    def __init__(
        self,
        path: str,
        answers: Any,
        listener: Listener,
        jitter: Callable[[], float] = random.random,
        *,
        hello: Hello = GREETING,
        most_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self._path = path
        self._answers = answers
        self._listener = listener
        self._jitter = jitter
        self._hello = hello
        self._most_bytes = most_bytes if hello.steps else MOST_BYTES_WITHOUT_STEPS
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to connect, in the background."""
        self._task = asyncio.create_task(self._stay_connected())

    async def close(self) -> None:
        """End the connection and do not make another."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def connected(self) -> bool:
        """True from the other side's hello until the connection is lost."""
        return self._writer is not None

    def send(self, frame: Frame) -> None:
        """Send `frame` without waiting. Raises ChannelClosed when there is no connection or it is stuck."""
        if self._writer is None or self._writer.is_closing():
            raise ChannelClosed("not_connected")
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES:
            raise ChannelClosed("not_reading")
        self._writer.write(encode(frame))

    # ---- inside

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            try:
                failures = 0 if await self._converse() else failures + 1
            except (OSError, FrameError) as fault:  # texts of the kernel and of ours, never of the other side
                log.warning("engine connection failed", extra={"socket": self._path, "fault": str(fault)})
                failures += 1
            except Exception:  # this loop supervises: a bug behind a callback must not leave the process unreachable
                log.exception("engine connection broke off", extra={"socket": self._path})
                failures += 1
            jitter = self._jitter()
            await asyncio.sleep(doubling_s(failures, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S, jitter=jitter))

    async def _converse(self) -> bool:
        """One connection, from connect to the other side's end of it; whether it came to a greeting."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(encode(self._hello))
            return await self._listen(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        frames = FrameReader(self._answers, self._most_bytes)
        try:
            while data := await reader.read(READ_BYTES):
                for frame in frames.feed(data):
                    self._take(frame, writer)
            return self.connected
        except FrameError:
            self._lose("protocol_fault")
            raise
        finally:
            self._lose("connection_lost")

    def _take(self, frame: Any, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            self._listener.received(frame)
            return
        if not isinstance(frame, AnyHello):
            raise FrameError(f"{type(frame).__name__} before a hello")
        if frame.version != PROTOCOL_VERSION:
            raise FrameError(f"protocol version {frame.version}, this gateway speaks {PROTOCOL_VERSION}")
        self._writer = writer
        try:
            self._listener.greeted(frame)
        except BaseException:
            self._writer = None
            raise

    def _lose(self, reason: str) -> None:
        if self._writer is not None:
            self._writer = None
            self._listener.lost(reason)
