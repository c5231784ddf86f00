"""Takes the PROXY header off the front of a connection, to its last byte and no further: the next one is TLS.

What the bytes mean is decided by `policies.addresses.proxy_header`; here they are only waited for. The header
comes from a trusted proxy, which has it ready as it connects, so the caller's deadline for the handshake bounds it too.
"""

import asyncio
import socket

from policies.addresses.networks import Address
from policies.addresses.proxy_header import START_BYTES, ProxyHeaderFault, read_rest_bytes, read_source


async def read_announced(accepted: socket.socket, loop: asyncio.AbstractEventLoop) -> Address | None:
    """The client that the proxy at the other end of `accepted` (non-blocking) names; None when it names nobody.

    Raises ProxyHeaderFault, or OSError when the connection breaks.
    """
    start = await _read_exactly(accepted, START_BYTES, loop)
    return read_source(start + await _read_exactly(accepted, read_rest_bytes(start), loop))


async def _read_exactly(accepted: socket.socket, size_bytes: int, loop: asyncio.AbstractEventLoop) -> bytes:
    data = b""
    while len(data) < size_bytes:
        part = await loop.sock_recv(accepted, size_bytes - len(data))
        if not part:
            raise ProxyHeaderFault("proxy_header_cut")
        data += part
    return data
