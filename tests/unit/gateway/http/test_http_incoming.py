"""A body is read once, on demand, within a cap and a deadline."""

import asyncio

import pytest

from gateway.http.http_incoming import BrokenFraming, Head, HttpIncoming, Origin
from gateway.incoming import ClientGone
from policies.errors import BodyTooLarge, BodyTooSlow, EdgeRejected


class FakeTransport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)


class FakeLink:
    writing_paused = False

    def __init__(self) -> None:
        self.transport: FakeTransport | None = FakeTransport()

    async def drained(self) -> None:
        return


class FakePayload:
    """Parts in order; an exception is raised, None waits for ever."""

    def __init__(self, *parts: bytes | Exception | None) -> None:
        self.parts = list(parts)

    async def readany(self) -> bytes:
        part = self.parts.pop(0)
        if part is None:
            await asyncio.Event().wait()
        if isinstance(part, Exception):
            raise part
        assert part is not None
        return part

    def at_eof(self) -> bool:
        return not self.parts


def incoming(payload: FakePayload | None, *headers: tuple[bytes, bytes], version=(1, 1), link=None) -> HttpIncoming:
    head = Head("POST", "/", headers, version)
    return HttpIncoming(link or FakeLink(), Origin("192.0.2.1", "public", None), head, payload)


async def test_a_body_is_read_whole_once():
    request = incoming(FakePayload(b"ab", b"", b"c"))
    assert request.body_left
    assert await request.read_body(3, 1.0) == b"abc"
    assert not request.body_left
    assert await request.read_body(3, 1.0) == b""


async def test_no_body():
    request = incoming(None)
    assert not request.body_left
    assert await request.read_body(0, 1.0) == b""


async def test_a_declared_length_over_the_cap_is_refused_unread():
    payload = FakePayload(b"abcd")
    with pytest.raises(BodyTooLarge) as refused:
        await incoming(payload, (b"content-LENGTH", b"4")).read_body(3, 1.0)
    assert (refused.value.reason, refused.value.limit_bytes) == ("content_length_over_cap", 3)
    assert payload.parts == [b"abcd"]


async def test_the_cap_holds_without_a_length():
    request = incoming(FakePayload(b"ab", b"cd", b"ef"))
    with pytest.raises(BodyTooLarge) as refused:
        await request.read_body(3, 1.0)
    assert refused.value.reason == "body_over_cap"
    assert request.body_left


async def test_the_deadline():
    request = incoming(FakePayload(b"ab", None))
    with pytest.raises(BodyTooSlow):
        await request.read_body(3, 0.01)
    assert request.body_left


async def test_broken_framing_is_the_edges_refusal():
    with pytest.raises(EdgeRejected) as refused:
        await incoming(FakePayload(BrokenFraming())).read_body(3, 1.0)
    assert refused.value.reason == "body_framing"


async def test_a_client_that_is_gone():
    with pytest.raises(ClientGone):
        await incoming(FakePayload(ClientGone())).read_body(3, 1.0)
    link = FakeLink()
    link.transport = None
    with pytest.raises(ClientGone):
        await incoming(FakePayload(b"a"), (b"Expect", b"100-continue"), link=link).read_body(3, 1.0)


@pytest.mark.parametrize(
    ("version", "expect", "told"), [((1, 1), b"100-Continue", 1), ((1, 0), b"100-continue", 0), ((1, 1), b"x", 0)]
)
async def test_continue(version, expect, told):
    link = FakeLink()
    await incoming(FakePayload(b"a"), (b"Expect", expect), version=version, link=link).read_body(3, 1.0)
    assert link.transport.sent == [b"HTTP/1.1 100 Continue\r\n\r\n"] * told
