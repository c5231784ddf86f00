"""Two readers must agree on every boundary: where the parser sees another, one 400 and the end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from aiohttp.web_server import Server

from gateway.configuration.settings import ListenSettings
from gateway.http.head_bounds import MAX_FIELD_BYTES
from gateway.http.http_incoming import BrokenFraming
from gateway.http.http_wire import HttpWire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class OtherReader:
    """The parser, but of what it is fed `change` makes something else."""

    def __init__(self, wire: HttpWire, change: Callable[[bytes], bytes]) -> None:
        self.fed: list[bytes] = []
        self._change = change
        self._real = wire._parser

    def feed_data(self, data: bytes) -> Any:
        self.fed.append(data)
        return self._real.feed_data(self._change(data))

    def pause_reading(self) -> None:
        self._real.pause_reading()


class Transport(asyncio.Transport):
    """One that is open."""

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


def wire_of(change: Callable[[bytes], bytes] = bytes) -> tuple[HttpWire, OtherReader]:
    async def nobody(_request: object) -> None:
        return

    wire = HttpWire(Server(nobody, request_factory=lambda *_: None), ListenSettings())  # type: ignore[arg-type]
    reader = OtherReader(wire, change)
    wire._parser = reader
    wire.transport = Transport()
    return wire, reader


def outcome(wire: HttpWire) -> list[str]:
    """What waits to be answered."""
    wire._head.ended()
    return ["refused" if isinstance(message, _ErrInfo) else message.method for message, _ in wire._messages]


@pytest.fixture(params=[1, 2, 7, 1000])
def cut(request: pytest.FixtureRequest) -> Callable[[HttpWire, bytes], None]:
    def feed(wire: HttpWire, data: bytes) -> None:
        for start in range(0, len(data), request.param):
            wire.data_received(data[start : start + request.param])

    return feed


async def test_the_parser_gets_one_head_or_one_body_at_a_time(cut: Callable[[HttpWire, bytes], None]) -> None:
    wire, reader = wire_of()
    cut(wire, POST + b"abcd" + CHUNKED + b"1\r\na\r\n0\r\n\r\n" + GET)
    assert outcome(wire) == ["POST", "POST"]  # the third waits until one of them is taken
    assert b"".join(reader.fed) == POST + b"abcd" + CHUNKED + b"1\r\na\r\n0\r\n\r\n"
    assert not any(b"abcdP" in fed or b"\r\n\r\na" in fed for fed in reader.fed)
    wire._messages.popleft()
    wire.data_received(b"")
    assert outcome(wire) == ["POST", "GET"]


async def test_what_follows_a_last_request_is_not_read() -> None:
    wire, reader = wire_of()
    wire.data_received(GET[:-2] + b"Connection: close\r\n\r\n" + GET)
    wire.data_received(GET)
    assert outcome(wire) == ["GET"]
    assert len(reader.fed) == 1


async def test_a_head_that_ends_elsewhere_for_the_parser() -> None:
    wire, _ = wire_of(lambda data: data + b"\r\n")
    wire.data_received(GET[:-2])
    assert outcome(wire) == ["refused"]


async def test_a_body_that_ends_sooner_for_the_parser() -> None:
    wire, _ = wire_of(lambda data: data + b"0\r\n\r\n" if data.startswith(b"1\r\n") else data)
    wire.data_received(CHUNKED)
    wire.data_received(b"1\r\na\r\n" + b"1\r\nb\r\n0\r\n\r\n"[:3])
    assert outcome(wire)[-1] == "refused"
    wire.data_received(GET)
    assert "GET" not in outcome(wire)


async def test_a_body_that_goes_on_for_the_parser() -> None:
    wire, _ = wire_of(lambda data: data.removesuffix(b"0\r\n\r\n"))
    wire.data_received(CHUNKED + b"1\r\na\r\n0\r\n\r\n" + GET)
    assert outcome(wire) == ["refused"]


async def test_a_request_that_begins_in_a_body_for_the_parser() -> None:
    wire, _ = wire_of(lambda data: data + GET if data == b"abcd" else data)
    wire.data_received(POST + b"abcd" + GET)
    assert "GET" not in outcome(wire)
    assert outcome(wire)[-1] == "refused"


async def test_a_fault_in_a_body_that_is_being_read_reaches_its_reader() -> None:
    wire, _ = wire_of()
    wire.data_received(CHUNKED)
    _, body = wire._messages.popleft()
    reading = asyncio.create_task(body.readany())
    await asyncio.sleep(0)
    wire.data_received(b"x\r\n" + GET)
    with pytest.raises(BrokenFraming):
        await reading
    assert outcome(wire) == []
    assert body.is_eof()


async def test_a_body_beyond_its_buffer_waits_and_what_follows_waits_too() -> None:
    wire, _ = wire_of()
    large = b"x" * 400_000
    wire.data_received(POST.replace(b"4", b"400000") + large + GET)
    _, body = wire._messages.popleft()
    assert outcome(wire) == []
    read = b""
    while len(read) < len(large):
        read += await body.readany()
    assert read == large
    assert outcome(wire) == ["GET"]


@pytest.mark.parametrize(("size_bytes", "seen"), [(MAX_FIELD_BYTES, ["GET"]), (MAX_FIELD_BYTES + 1, ["refused"])])
async def test_a_fields_bound_does_not_depend_on_cuts(size_bytes: int, seen: list[str]) -> None:
    sent = GET[:-2] + b"X" * 100 + b": " + b"a" * (size_bytes - 100) + b"\r\n\r\n"
    for cut in (len(GET), len(GET) + 50, len(GET) + 98, len(GET) + 99, len(GET) + 100, len(GET) + 4000, len(sent) - 1):
        wire, _ = wire_of()
        wire.data_received(sent[:cut])
        wire.data_received(sent[cut:])
        assert outcome(wire) == seen, cut


@pytest.mark.parametrize(
    ("options", "ends"),
    [(b"keep-alive", False), (b"close", True), (b"keep-alive, x,\tClose", True), (b"keep-alive, closed", False)],
)
async def test_close_wins_in_http_1_0(options: bytes, ends: bool) -> None:
    wire, _ = wire_of()
    wire.data_received(b"GET / HTTP/1.0\r\nConnection: " + options + b"\r\n\r\n")
    message, _ = wire._messages[0]
    assert isinstance(message, RawRequestMessage)
    assert message.should_close is ends


async def test_nothing_at_all_changes_nothing() -> None:
    wire, _ = wire_of()
    wire.data_received(b"")
    assert outcome(wire) == []
    assert wire._body is EMPTY_PAYLOAD
