"""The admin command's way into a running gateway: a Unix socket, one line of JSON each way.

    {"act": "keys.revoke", "arguments": {...}}   ->   {"result": {...}}
                                                  or   {"error": "one line", "status": 2}

Open to the home's owner, root, and an admin group if one is named: by the file's mode, and again by
the kernel's word on who connected. One act a connection; sizes, times and connections are bounded, so
that a stuck or hostile local process costs the gateway nothing. The act itself is never cut short:
between its record and its change there is no stopping.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from gateway.admin.act import ActRefused
from gateway.admin.admin_peer import Peer, may_administer, read_peer
from gateway.admin.unix_address import unix_address
from policies.audit_record import Actor
from policies.errors import AuditUnavailable, PolicyUnavailable, Refused

Json = dict[str, Any]
Answerer = Callable[[str, Json, Actor], Awaitable[Json]]

MAX_REQUEST_BYTES = 64 * 1024
MAX_CONNECTIONS = 16
READ_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0
BAD_INPUT, FAILED = 2, 1


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """One act asked for."""

    act: str
    arguments: Json = {}


class AdminSocket:
    """Listens at `path` (0660) and has each act answered by `answer(act, arguments, actor)`.

    `admin_gid` is the group that may connect beside owner and root; `path`'s folder and the home above
    it are then opened to that group for passing through, and for nothing else.
    """

    def __init__(self, path: Path, answer: Answerer, *, admin_gid: int | None = None) -> None:
        self._path = path
        self._answer = answer
        self._admin_gid = admin_gid
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self._inode = -1
        self._closed = False

    async def start(self) -> None:
        """Begin to listen, in place of whatever gateway had this path before. Raises OSError."""
        listening = self._bind()
        self._server = await asyncio.start_unix_server(self._accepted, sock=listening, limit=MAX_REQUEST_BYTES)

    async def close(self) -> None:
        """Stop listening and let the acts under way finish. A successor's socket is left alone."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        if self._busy:
            await asyncio.wait(self._busy)
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    def _bind(self) -> socket.socket:
        """A listening socket that takes its name with its final mode, so that it is never open wider."""
        unnamed = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        unnamed.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with unix_address(unnamed) as address:
                listening.bind(address)
            if self._admin_gid is not None:
                self._open_way(unnamed, self._admin_gid)
            unnamed.chmod(0o660)
            listening.listen(MAX_CONNECTIONS)
            self._inode = unnamed.stat().st_ino
            unnamed.rename(self._path)
        except BaseException:
            listening.close()
            unnamed.unlink(missing_ok=True)
            raise
        return listening

    def _open_way(self, unnamed: Path, admin_gid: int) -> None:
        os.chown(unnamed, -1, admin_gid)
        for folder in (self._path.parent, self._path.parent.parent):
            os.chown(folder, -1, admin_gid)
            folder.chmod(0o710)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed or len(self._busy) >= MAX_CONNECTIONS:  # the loop may bring one that it took before `close`
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connection = writer.get_extra_info("socket")
            peer = await asyncio.to_thread(read_peer, connection)
            line = await asyncio.wait_for(reader.readline(), READ_TIMEOUT_S)
            reply = await self._reply(peer, line)
            writer.write(msgspec.json.encode(reply) + b"\n")
            await asyncio.wait_for(writer.drain(), WRITE_TIMEOUT_S)
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), WRITE_TIMEOUT_S)
        except (TimeoutError, OSError, ValueError):  # too slow, gone, or a line beyond the bound
            writer.transport.abort()

    async def _reply(self, peer: Peer, line: bytes) -> Json:
        if not await asyncio.to_thread(may_administer, peer, os.geteuid(), self._admin_gid):
            structlog.get_logger().warning("admin.peer_refused", uid=peer.uid)
            return _fault("not allowed: be the home's owner, root, or in the admin group", FAILED)
        try:
            request = msgspec.json.decode(line, type=Request)
            return {"result": await self._answer(request.act, request.arguments, peer.actor())}
        except msgspec.DecodeError as fault:
            return _fault(f"not a request: {fault}", BAD_INPUT)
        except ActRefused as fault:
            return _fault(str(fault), BAD_INPUT)
        except Refused as fault:
            return _fault(explain(fault), FAILED)
        except Exception as bug:  # noqa: BLE001 (a request boundary: one act's bug must not end the gateway)
            structlog.get_logger().error("admin.bug", kind=type(bug).__name__)
            return _fault("a fault inside Corral; its log has the entry admin.bug", FAILED)


def explain(fault: Refused) -> str:
    """What an act's failure means to the person who asked for it, in one line."""
    if isinstance(fault, AuditUnavailable):
        return f"the audit log cannot be written ({fault.reason}): nothing was changed; free space or make it writable"
    if isinstance(fault, PolicyUnavailable):
        return (
            f"the key store cannot be used ({fault.reason}): free space on its disk or give this user access, then "
            "try again; a revocation holds until Corral is restarted"
        )
    return f"refused: {fault.reason}"


def _fault(message: str, status: int) -> Json:
    return {"error": message, "status": status}
