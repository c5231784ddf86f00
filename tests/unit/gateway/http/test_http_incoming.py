"""A body is read once, on demand, within a cap and a deadline."""

import asyncio

import pytest

from gateway.http.body_budget import BodyBudget
from gateway.http.http_incoming import BrokenFraming, Head, HttpIncoming, Origin
from gateway.incoming import ClientGone
from policies.errors import BodyTooLarge, BodyTooSlow, EdgeRejected, Overloaded


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
        part = self.parts.pop(0) if self.parts else b""
        if part is None:
            await asyncio.Event().wait()
        if isinstance(part, Exception):
            raise part
        assert part is not None
        return part


def incoming(payload: FakePayload | None, *headers: tuple[bytes, bytes], version=(1, 1), link=None) -> HttpIncoming:
    head = Head("POST", "/", headers, version)
    return HttpIncoming(link or FakeLink(), Origin("192.0.2.1", "public", None), head, payload)


async def test_a_body_is_read_whole_once():
    request = incoming(FakePayload(b"ab", b"c"))
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


async def test_a_body_must_keep_up_after_its_grace(monkeypatch):
    monkeypatch.setattr("gateway.http.http_incoming.GRACE_S", 0.01)
    with pytest.raises(BodyTooSlow):
        await incoming(FakePayload(b"ab", None)).read_body(3, 60.0)


async def test_bytes_that_arrived_buy_time(monkeypatch):
    monkeypatch.setattr("gateway.http.http_incoming.GRACE_S", 0.01)
    monkeypatch.setattr("gateway.http.http_incoming.MIN_RATE_BYTES_PER_S", 1)

    class Late(FakePayload):
        async def readany(self) -> bytes:
            if self.parts == [b"late"]:
                await asyncio.sleep(0.05)
            return await super().readany()

    assert await incoming(Late(b"12345678", b"late")).read_body(20, 60.0) == b"12345678late"


async def test_a_body_counts_until_the_request_is_over():
    budget = BodyBudget(5)
    request = held(budget, FakePayload(b"ab", b"cd"))
    assert await request.read_body(9, 1.0) == b"abcd"
    assert budget.held_bytes == 4
    with pytest.raises(Overloaded):
        await held(budget, FakePayload(b"ab")).read_body(9, 1.0)
    other = FakeLink()
    with pytest.raises(Overloaded):  # before it is told to send
        await held(
            budget, FakePayload(b"ab"), (b"Content-Length", b"2"), (b"Expect", b"100-continue"), link=other
        ).read_body(9, 1.0)
    assert other.transport is not None
    assert other.transport.sent == []
    request.let_go()
    assert budget.held_bytes == 0


def held(budget: BodyBudget, payload: FakePayload, *headers: tuple[bytes, bytes], link=None) -> HttpIncoming:
    head = Head("POST", "/", headers, (1, 1))
    return HttpIncoming(link or FakeLink(), Origin("192.0.2.1", "public", None), head, payload, budget.claim())
