"""The places without proofs: a file on another volume, a syslog server over TLS, an HTTP collector.

Syslog is RFC 5424 in the frames of RFC 5425 (octet counting); the message is the word `checkpoint` and the note in
base64, one line, since collectors break others. The protocol has no acknowledgement: sent is as much as can be known.
"""

import asyncio
import base64
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit.anchor_queue import AnchorFailed
from gateway.outbound import Outbound, OutboundFault, OutboundRefused

AUDIT_NOTICE = 13 * 8 + 5
"""Facility 13 (log audit), severity 5 (notice). RFC 5424 section 6.2.1."""
CONNECT_S = 10.0
TEXT = "text/plain; charset=utf-8"


class FileAnchor:
    """Appends each note and an empty line to a file, synced. Its folder must be there: an unmounted volume is none."""

    off_host = False
    newest_only = False

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"
        self._path = path

    async def put(self, note: bytes) -> None:
        """Raises AnchorFailed."""
        try:
            await asyncio.to_thread(self._append, note + b"\n")
        except OSError as fault:
            raise AnchorFailed(f"cannot append: {fault.strerror}") from None

    async def close(self) -> None:
        """Nothing stays open."""

    def _append(self, data: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            size_bytes = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(28, "No space left on device")
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size_bytes)  # never half a note, which would hide the next one
                raise
        finally:
            os.close(descriptor)


class SyslogAnchor:
    """One TLS connection, kept open and made anew when it is lost."""

    off_host = True
    newest_only = False

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, unix_s: Callable[[], float]) -> None:
        self.name = f"syslog:{host}:{port}"
        self._address = host, port
        self._tls = tls
        self._unix_s = unix_s
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def put(self, note: bytes) -> None:
        """Raises AnchorFailed."""
        try:
            writer = await self._connected()
            writer.write(syslog_frame(note, self._unix_s()))
            await writer.drain()
        except (OSError, TimeoutError) as fault:
            await self.close()
            raise AnchorFailed(f"cannot send: {type(fault).__name__}") from None

    async def close(self) -> None:
        """End the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()
            with contextlib.suppress(OSError):
                await stream[1].wait_closed()

    async def _connected(self) -> asyncio.StreamWriter:
        if self._stream is not None and (self._stream[0].at_eof() or self._stream[1].is_closing()):
            await self.close()
        if self._stream is None:
            host, port = self._address
            async with asyncio.timeout(CONNECT_S):
                self._stream = await asyncio.open_connection(host, port, ssl=self._tls, server_hostname=host)
        return self._stream[1]


class HttpAnchor:
    """Posts each note as text to a collector; any status of 2xx means that it has it."""

    off_host = True
    newest_only = False

    def __init__(self, url: str, client: Outbound) -> None:
        self.name = f"http:{url}"
        self._client = client

    async def put(self, note: bytes) -> None:
        """Raises AnchorFailed."""
        try:
            await self._client.fetch("POST", "", note, max_body_bytes=64 * 1024, content_type=TEXT)
        except OutboundRefused as refused:
            raise AnchorFailed(f"the collector answers {refused.status}") from None
        except OutboundFault as fault:
            raise AnchorFailed(f"the collector cannot be reached: {fault}") from None

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()


def syslog_frame(note: bytes, unix_s: float) -> bytes:
    """The note as one message in its frame. RFC 5425 section 4.3, RFC 5424 section 6."""
    at = datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = socket.gethostname().encode("ascii", "replace").decode()[:255] or "-"
    head = f"<{AUDIT_NOTICE}>1 {at} {host} corral {os.getpid()} checkpoint - "
    message = head.encode() + b"checkpoint " + base64.b64encode(note)
    return b"%d %s" % (len(message), message)
