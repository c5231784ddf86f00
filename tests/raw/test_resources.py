"""T11 to T14: what a caller can make us hold, and for how long."""

import asyncio
import gzip
import zlib
from pathlib import Path

import pytest

from policies.call import Final, Text, Usage
from tests.raw.raw_house import CHAT, PATIENCE_S, SENTINEL, RawHouse, raw_house, refused, served, until

QUICK_S = 0.3
"""Every deadline that only the slow meet; the defaults are 10 to 75 s."""
IN_TIME_S = 2.0
"""One that others keep beside them."""
SLOW_EACH = 20
SIZE = len(CHAT)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CHAT)


async def _closed(house: RawHouse, sent: bytes, drip: bytes, number: int, *, reads: bool = True) -> None:
    """Returns when the server closes on a client that sends `sent` and then, for ever, `drip`."""
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, local_addr=(address, 0))
    writer.write(sent)
    if not reads:
        writer.transport.pause_reading()
    try:
        async with asyncio.timeout(PATIENCE_S * 2):
            while not writer.transport.is_closing() and not reader.at_eof():
                await asyncio.sleep(0.02)
                writer.write(drip)
    finally:
        writer.transport.abort()


async def test_t11_slow_clients_are_closed_while_a_good_one_is_served(tmp_path: Path) -> None:
    """60 at once, from 60 addresses: slow in the head, in the body, in a chunked body."""
    async with raw_house(tmp_path, header_timeout_s=IN_TIME_S, write_timeout_s=IN_TIME_S) as house:
        house.gate.gate.body_timeout_s = IN_TIME_S
        body = house.request(headers=(b"Content-Length: 100000",))
        kinds = ((b"GET / HTTP/1.1\r\nX: ", b"a"), (body, b"a"), (house.chunked(b""), b"1\r\na\r\n"))
        slow = [
            asyncio.create_task(_closed(house, sent, drip, number * len(kinds) + kind))
            for kind, (sent, drip) in enumerate(kinds)
            for number in range(SLOW_EACH)
        ]
        good = [await house.ask(house.chat() + SENTINEL, 2) for _ in range(20)]
        await asyncio.gather(*slow)
        assert [told.statuses for told in good] == [[200, 200]] * 20
        assert house.listener.counts.accepted == len(slow) + len(good)
        await until(lambda: not house.server.open_connections)


async def test_t11_a_client_that_does_not_read_gives_its_slot_back(tmp_path: Path) -> None:
    async with raw_house(tmp_path, write_timeout_s=QUICK_S) as house:
        engine = house.gate.engine
        engine.script = [*(Text("x" * 65536) for _ in range(400)), Final("stop", Usage())]
        streams = [
            house.request(
                headers=(b"Content-Length: 60",), body=b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
            )
        ] * 4
        waits = [_closed(house, sent, b"", number, reads=False) for number, sent in enumerate(streams)]
        tasks = [asyncio.create_task(wait) for wait in waits]
        # More than there are slots: each waits for one that was freed.
        await until(lambda: len(engine.calls) == len(streams) and not engine.running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert engine.cancelled == len(streams)
        await until(lambda: not house.server.open_connections)


async def test_t11_a_body_must_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.http_incoming.GRACE_S", QUICK_S)
    async with raw_house(tmp_path) as house:
        house.gate.gate.body_timeout_s = 30.0
        told = await house.ask(house.request(headers=(b"Content-Length: 1000",), body=CHAT))
        assert told.statuses == [408]
        assert told.closed


async def test_t12_what_is_too_large_is_refused(house: RawHouse) -> None:
    get = house.request
    cases = [
        refused("a long target", get(b"GET", b"/" + b"a" * 9000)),
        refused("a long query", get(b"GET", b"/api/tags?" + b"a" * 9000)),
        refused("a long field", get(b"GET", b"/api/tags", (b"X: " + b"a" * 8200,))),
        refused("a name and a value that are long together",
        get(b"GET", b"/api/tags", (b"X" * 8000 + b": " + b"a" * 191,))),
        served("a field of 8,190", get(b"GET", b"/api/tags", (b"X" * 100 + b": " + b"a" * 8090,))),
        refused("a long name", get(b"GET", b"/api/tags", (b"X" * 8200 + b": a",))),
        refused("many fields", get(b"GET", b"/api/tags", (b"X: a",) * 65)),
        refused("a long head of fields that fit", get(b"GET", b"/api/tags", (b"X: " + b"a" * 8000,) * 9)),
        refused("a long Host", get(b"GET", b"/api/tags", host=b"a" * 300)),
        refused("more than the cap", get(headers=(b"Content-Length: 1048577",)), 413),
        refused("far more than the cap", get(headers=(b"Content-Length: 9223372036854775807",)), 413),
        refused("chunks beyond the cap",
        house.chunked(b"80000\r\n" + b" " * 0x80000 + b"\r\n" + b"90000\r\n" + b" " * 0x90000 + b"\r\n0\r\n\r\n"), 413),
        refused("an extension of 257 bytes", house.chunked(b"%x;" % SIZE + b"a" * 256 + b"\r\n")),
        refused("an extension of 64 KiB", house.chunked(b"%x;" % SIZE + b"a" * 65536 + b"\r\n")),
        refused("an extension without end", house.chunked(b"%x;" % SIZE + b"a" * 300)),
        refused("extensions out of proportion", house.chunked((b"1;" + b"a" * 250 + b"\r\n{\r\n") * 300)),
        refused("20,000 chunks of one byte", house.chunked(b"1\r\n \r\n" * 20_000)),
        served("an extension of 256 bytes",
        house.chunked(b"%x;" % SIZE + b"a" * 255 + b"\r\n" + CHAT + b"\r\n0\r\n\r\n")),
        served("10,000 chunks of one byte", house.chunked(b"1\r\n \r\n" * 10_000 + CHUNKED)),
        served("a target of 8,000", get(b"GET", b"/api/tags?" + b"a" * 8000)),
        served("a field of 8,000", get(b"GET", b"/api/tags", (b"X: " + b"a" * 8000,))),
        served("60 fields", get(b"GET", b"/api/tags", (b"X: a",) * 60)),
        served("a large body", house.chat(body=CHAT + b" " * 1_000_000)),
        served("a large chunked body",
        house.chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE + 900_000, CHAT + b" " * 900_000))),
    ]  # fmt: skip
    assert await house.faults(cases) == []


async def test_t12_bodies_have_one_budget(tmp_path: Path) -> None:
    async with raw_house(tmp_path, max_body_bytes=100_000, max_bodies_bytes=150_000) as house:
        held = CHAT + b" " * (100_000 - SIZE)
        engine = house.gate.engine
        engine.hold = asyncio.Event()
        first = asyncio.create_task(house.ask(house.chat(body=held), 1))
        await until(lambda: engine.running == 1)
        assert house.server.bodies.held_bytes == 100_000
        second = await house.ask(house.request(headers=(b"Content-Length: 60000", b"Expect: 100-continue")))
        assert second.statuses == [503]
        assert b"\r\nRetry-After: 1\r\n" in second.raw
        third = await house.ask(house.chunked(b"ea60\r\n" + b" " * 60_000 + b"\r\n"))
        assert third.statuses == [503]
        engine.hold.set()
        assert (await first).statuses == [200]
        await until(lambda: not house.server.bodies.held_bytes)
        assert (await house.ask(house.chat(body=held), 1)).statuses == [200]


async def test_t13_an_encoded_body_is_not_decoded(house: RawHouse) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    encodings = (
        b"gzip",
        b"x-gzip",
        b"deflate",
        b"br",
        b"zstd",
        b"compress",
        b"gzip, gzip",
        b"identity, gzip",
        b"GZIP",
        b"",
        b"x",
    )
    cases = [refused(repr(name), house.chat(b"Content-Encoding: " + name, body=bomb), 415) for name in encodings]
    cases += [
        refused("broken gzip", house.chat(b"Content-Encoding: gzip", body=b"\x1f\x8b\x08broken"), 415),
        refused("deflate", house.chat(b"Content-Encoding: deflate", body=zlib.compress(CHAT)), 415),
        refused("twice", house.chat(b"Content-Encoding: identity", b"Content-Encoding: gzip")),
        refused("a stranger's", house.request(
            headers=(b"Content-Encoding: gzip", b"Content-Length: %d" % len(bomb)), body=bomb, known=False), 401),
        served("identity", house.chat(b"Content-Encoding: identity")),
        served("gzip under no name", house.chat(body=gzip.compress(CHAT)), 400),
    ]  # fmt: skip
    assert await house.faults(cases) == []
    assert len(house.gate.engine.calls) == 1


async def test_t14_json_that_two_readers_read_differently(house: RawHouse) -> None:
    chat = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false,%b}'
    bad = (
        b'"model":"secret"', b'"MODEL":"secret"', b'"Model":"secret"', b'"mo\\u0064el":"secret"', b'"x":NaN',
        b'"x":Infinity',
        b'"x":-Infinity', b'"x":1e999', b'"x":' + b"9" * 5000, b'"x":"\\ud800"', b'"x":"\\udfff\\ud800"', b'"x":01',
        b'"x":+1', b'"x":.5',
        b'"x":1.', b'"x":0x1', b'"x":\'y\'', b'"x":1,', b'"x":[1,]', b'"x":/*y*/1', b'"x":1//y\n', b'"x":"\xff"',
        b'"x":"\xc0\xaf"',
        b'"x":"\xed\xa0\x80"', b'"x":"a\tb"', b'"x":"a\nb"', b'"x":"a\x00b"', b'"x":' + b"[" * 65 + b"]" * 65,
        b'"x":' + b"[" * 100_000,
        b'"x":' + b'{"a":' * 100_000, b'"x":[' + b"1," * 300_000 + b"1]", b'"x":tru', b'"x":TRUE', b'"x":"\\x41"',
        b'"x":"\\u12"',
        b'"\xef\xbb\xbfx":', b"x:1",
    )  # fmt: skip
    cases = [served(repr(field[:40]), house.chat(body=chat % field), 400) for field in bad]
    cases += [
        served(repr(body), house.chat(body=body), 400)
        for body in (b"\xef\xbb\xbf" + CHAT, CHAT + CHAT, CHAT + b"x", CHAT + b"\x00", b"[]", b"null", b'"m"', b"1",
        b" ", b"{",
                     CHAT.decode().encode("utf-16"), CHAT.decode().encode("utf-32"))
    ]  # fmt: skip
    cases += [
        served("a field that nobody knows", house.chat(body=chat % b'"x":[1,{"y":"\\ud83d\\ude00"}]')),
        served("64 levels", house.chat(body=chat % (b'"x":' + b"[" * 63 + b"]" * 63))),
    ]
    assert await house.faults(cases) == []
    assert {call.model for call in house.gate.engine.calls} == {"m:latest"}
