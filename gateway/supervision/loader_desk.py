"""Where gateways tell the loader what they wait for, and hear what is loaded: a Unix socket, this user's alone.

By the file's mode, and again by the kernel's word on who connected. Connections, frames and what is left unread are
bounded; a gateway that breaks the protocol or does not read is cut off, and comes back by itself.
"""

import asyncio
import itertools
import os
import socket
import struct
from typing import Protocol

import structlog

from engine.frames import PROTOCOL_VERSION, FrameError, FrameReader, Hello, encode
from engine.loader_frames import (
    MAX_LOADER_FRAME_BYTES,
    KeepAlive,
    LoaderHello,
    LoaderRequest,
    Residences,
    Wanted,
)
from engine.residency import Group, Residence

log = structlog.get_logger("corral.supervisor")

MAX_CONNECTIONS = 64
"""Gateway processes, and as many more while they are replaced."""
READ_BYTES = 64 * 1024
UNREAD_BYTES = 4 * MAX_LOADER_FRAME_BYTES
_UCRED = struct.Struct("iII")
"""pid, uid, gid; see unix(7)."""


class Clerk(Protocol):
    """Who answers: the loader."""

    def wanted(
        self, source: int, groups: tuple[Group, ...], away: tuple[str, ...] = (), longest_answer_s: float = 0.0
    ) -> None: ...
    def kept(self, model: str, seconds: float) -> None: ...
    def residences(self) -> tuple[Residence, ...]: ...


class LoaderDesk:
    """See the head of the module. `listening` stays the caller's to close."""

    def __init__(self, listening: socket.socket, clerk: Clerk) -> None:
        self._listening = listening
        self._clerk = clerk
        self._server: asyncio.Server | None = None
        self._closed = False
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter | None] = {}
        self._sources = itertools.count(1)

    async def open(self) -> None:
        """Begin to serve."""
        self._server = await asyncio.start_unix_server(self._accepted, sock=self._listening.dup(), limit=READ_BYTES)

    async def close(self) -> None:
        """End every connection, also one that is just being accepted."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def tell(self, residences: tuple[Residence, ...]) -> None:
        """Everybody who has greeted hears how it is now."""
        frame = encode(Residences(workers=residences))
        for writer in self._talks.values():
            if writer is not None:
                _send(writer, frame)

    # ---- inside

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed or len(self._talks) >= MAX_CONNECTIONS or not _is_own(writer):
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks[task] = None
        task.add_done_callback(lambda done: self._ended(done, writer))

    def _ended(self, talk: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        """However it ended, and though it was cancelled before it began."""
        self._talks.pop(talk, None)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, source = FrameReader(LoaderRequest, MAX_LOADER_FRAME_BYTES), next(self._sources)
        try:
            while data := await reader.read(READ_BYTES):
                for frame in frames.feed(data):
                    self._take(frame, writer, source)
        except FrameError as fault:
            log.warning("loader_talk_refused", cause=str(fault))
        except OSError:  # it went away in the middle of a frame
            pass
        finally:
            self._clerk.wanted(source, ())

    def _take(self, frame: Hello | Wanted | KeepAlive, writer: asyncio.StreamWriter, source: int) -> None:
        task = asyncio.current_task()
        is_greeted = task is not None and self._talks.get(task) is not None
        match frame:
            case Hello() if task is not None and not is_greeted and frame.version == PROTOCOL_VERSION:
                self._talks[task] = writer
                _send(writer, encode(LoaderHello(version=PROTOCOL_VERSION)))
                _send(writer, encode(Residences(workers=self._clerk.residences())))
            case Wanted() if is_greeted:
                self._clerk.wanted(source, frame.groups, frame.away, frame.longest_answer_s)
            case KeepAlive() if is_greeted:
                self._clerk.kept(frame.model, frame.seconds)
            case _:
                raise FrameError(f"{type(frame).__name__} out of turn")


def _is_own(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return bool(uid == os.geteuid())


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    if writer.transport.is_closing():
        return
    if writer.transport.get_write_buffer_size() > UNREAD_BYTES:
        writer.transport.abort()
    else:
        writer.write(frame)
