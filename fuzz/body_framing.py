"""Invariant: where a chunked body ends, or that it has no end, does not depend on where the network cuts it."""

from gateway.http.body_framing import BodyFault, ChunkedFraming

SEEDS = (
    b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    b'a;name=value;x="y z"\r\n0123456789\r\n0001\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n',
    b"0\r\n\r\n",
)


def one(data: bytes) -> None:
    """Read one wire whole, and byte by byte."""
    assert _end(data, len(data) or 1) == _end(data, 1)


def _end(data: bytes, step: int) -> tuple[int, bool]:
    framing = ChunkedFraming()
    taken = 0
    for start in range(0, len(data), step):
        try:
            taken += framing.take(data[start : start + step])
        except BodyFault:
            return -1, False
    return taken, framing.done
