"""T1 to T4: nobody on the way reads another boundary than we do."""

import asyncio
import tracemalloc

import pytest

from gateway.http import http_connection
from tests.raw.raw_house import CHAT, PATIENCE_S, SENTINEL, Case, RawHouse, refused, served, until

SIZE = len(CHAT)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CHAT)
TE = b"Transfer-Encoding: chunked"
INNER = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n"

# Each a line that a lenient reader takes for Transfer-Encoding: chunked, or for none.
TE_VARIANTS = (
    b"Transfer-Encoding:", b"Transfer-Encoding: ", b"Transfer-Encoding: chunke", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: , chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip", b"Transfer-Encoding: JUNK, chunked",
    b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: 'chunked'", b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked x", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: chunked\x0c", b"Transfer-Encoding: \x00chunked", b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: \xa0chunked", b"Transfer-Encoding: chunked\x85", b"Transfer-Encoding: c\xe2\x84\xaahunked",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked", b"Transfer-Encoding", b"Transfer-Encoding chunked", b"Transfer Encoding: chunked",
    b"Transfer_Encoding: chunked", b"transfer_encoding: chunked", b"Transfer-Encoding:\r chunked",
    b"Transfer-Encoding:\n chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\r\n\tchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked", b"\x00Transfer-Encoding: chunked", b"Transfer-Encoding\x00: chunked",
    b"Transfer-Encoding\xff: chunked", b"\xefTransfer-Encoding: chunked", b": chunked",
    b"Transfer-\r\nEncoding: chunked",
    b"Transfer-Encoding:\x01chunked", b"Transfer-Encoding: chun\x7fked", b"Transfer-Encoding: chunked\r",
)  # fmt: skip
# Each another reading of a length of SIZE, or none.
LENGTHS = (
    b"+%d", b"-%d", b"0%d", b"000%d", b"0x%x", b"%d.0", b"%de0", b"%d,", b"%d, %d", b"%d,%d", b", %d", b"%d %d",
    b"\"%d\"",
    b"%d;", b"%d\x0b", b"\x0c%d", b"%d\x00", b"\xa0%d", b"%d\xb2", b"%d_0", b"1_%d", b"%d\xd9\xa2", b"",
    b" ", b"abc", b"-1", b"-0", b"+0", b"18446744073709551616", b"99999999999999999999999999",
    b"9223372036854775808000",
    b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d", b"%d\r\nContent-Length: 1",
    b"%d\r\n ", b"%d\r\n\t0", b"%d\n", b"\r\n %d",
)  # fmt: skip
CHUNK_HEADS = (
    b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x\t", b"%xg", b"g", b"", b"%x\r", b"\n%x", b"%x;\x00", b"%x;a=\n",
    b"%x;a\rb", b"%x;" + b"a" * 300, b"%x;" + b"a" * 65536, b"%x ;a=b", b"%x,a", b"%x\x0b", b"0" * 9 + b"%x", b"f" * 16,
    b"f" * 17, b"ffffffffffffffff%x", b"7fffffffffffffff", b"%x\xff", b"%x;\x7f", b"%x;\xff", b"\xef\xbc\x91",
)  # fmt: skip
CHUNK_BODIES = (
    b"%x\r\n%bX\r\n0\r\n\r\n", b"%x\r\n%b\n0\r\n\r\n", b"%x\r\n%b\r0\r\n\r\n", b"%x\r\n%b0\r\n\r\n",
    b"%x\n%b\r\n0\r\n\r\n",
    b"%x\r%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n0\n\n", b"%x\r\n%b\r\n\r\n0\r\n\r\n", b"%x\r\n%b\r\n0x0\r\n\r\n",
    b"%x\r\n%b\r\n-0\r\n\r\n",
)  # fmt: skip
TRAILERS = (
    b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil", b"Authorization: Bearer x", b"X-Api-Key: x",
    b"X-Forwarded-For: 10.0.0.1", b"Connection: close", b"Cookie: a=b", b"Content-Encoding: gzip", b"Origin: null",
    b" folded: x", b"no colon", b": empty", b"X Y: z", b"X: a\x00", b"X: a\rb", b"X: a\nY: b", b"X_Y: z",
    b"X: " + b"a" * 2000, b"\r\nX: y"[2:] + b"\r\n" + b"Y: " + b"z" * 1020,
)  # fmt: skip
REQUEST_LINES = (
    b"GET  HTTP/1.1", b"GET / HTTP/1.1 x", b"GET /", b"GET / HTTP/1.2", b"GET / HTTP/0.9", b"GET / HTTP/2.0",
    b"GET / HTTP/3.0",
    b"GET / http/1.1", b"GET / HTTP/1.", b"GET / HTTP/11", b"GET / HTTP/1.1.1", b"GET / HTTPS/1.1", b"GET / ICY/1.0",
    b"GET / HTTP/ 1.1", b"GET / HTTP /1.1", b"GET / HTTP/1,1", b"GET / HTTP/-1.1", b"GET / HTTP/01.1",
    b"GET / HTTP/1.01",
    b"GET\x00/ HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\r HTTP/1.1", b"GET\r/ HTTP/1.1", b"GET /\n HTTP/1.1",
    b"GET /\x0b HTTP/1.1", b"get / HTTP/1.1", b"Get / HTTP/1.1", b"G\xc3\x89T / HTTP/1.1", b"FROB / HTTP/1.1",
    b"GET\xa0/ HTTP/1.1", b" GET / HTTP/1.1", b"\tGET / HTTP/1.1", b"GE T / HTTP/1.1", b"TRACE / HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1", b"CONNECT / HTTP/1.1", b"PRI * HTTP/2.0", b"OPTIONS * HTTP/1.1",
    b"GET * HTTP/1.1", b"GET http://evil/ HTTP/1.1", b"GET https:// HTTP/1.1",
    b"GET localhost:80 HTTP/1.1", b"GET http://[]@/ HTTP/1.1", b"GET //evil/ HTTP/1.1", b"GET ?x HTTP/1.1",
    b"GET index HTTP/1.1", b"{\"a\":1}", b"\x16\x03\x01\x02\x00\x01", b"\x80\x2e\x01\x00\x02", b"HTTP/1.1 200 OK",
)  # fmt: skip
HEADER_LINES = (
    b"no colon", b": no name", b"X Y: z", b"X\tY: z", b"X : z", b"X\x00: z", b"X\x0b: z", b"X: a\x00b", b"X: a\rb",
    b"X: a\nb", b" folded: x", b"X: a\r\n folded", b"X: a\r\n\tfolded", b"X\xff: z", b"X_Y: z", b"(X): z", b"X[]: z",
    b"X{: z",
    b"X\"Y: z", b"X=Y: z", b"X@Y: z", b"X: a\x01b", b"X: \x1b[31m", b"X: a\x7fb", b"X: \x08", b"\r: z", b"\x00",
    b"X;: z",
    b"X,Y: z", b"X/Y: z", b"X\\Y: z", b"X?: z",
)  # fmt: skip


def _filled(template: bytes, *values: object) -> bytes:
    places = template.count(b"%") - template.count(b"%%") * 2
    return template % values[:places]


async def test_t01_controls_are_served(house: RawHouse) -> None:
    halves = b"%x\r\n%b\r\n%X;a=b\r\n%b\r\n0\r\n\r\n" % (20, CHAT[:20], SIZE - 20, CHAT[20:])
    ones = b"".join(b"1\r\n%c\r\n" % byte for byte in CHAT) + b"0\r\n\r\n"
    cases = [
        served("length", house.chat()),
        served("chunked", house.chunked(CHUNKED)),
        served("chunked in halves, one with an extension", house.chunked(halves)),
        served("chunked byte by byte", house.chunked(ones)),
        served("chunk size with zeros", house.chunked(b"0000%x\r\n%b\r\n000\r\n\r\n" % (SIZE, CHAT))),
        served("a quoted extension", house.chunked(b'%x;a="b c";d\r\n%b\r\n0;e\r\n\r\n' % (SIZE, CHAT))),
        served("a harmless trailer", house.chunked(CHUNKED[:-2] + b"X-Checksum: abc\r\n\r\n")),
        served("Chunked in capitals", house.request(headers=(b"Transfer-Encoding: Chunked",), body=CHUNKED)),
        served("no body at all", house.request(b"GET", b"/api/tags")),
        served("Content-Length: 0 on GET", house.request(b"GET", b"/api/tags", (b"Content-Length: 0",))),
        served("HEAD", house.request(b"HEAD", b"/", known=False)),
        served("an empty line before the request line", b"\r\n" + house.chat()),
        served("two in one piece", house.chat() + house.chunked(CHUNKED), 200, 200),
        served("TE is no Transfer-Encoding", house.chat(b"TE: trailers, chunked")),
        served("a value that looks like a header", house.chat(b"X: Transfer-Encoding: chunked")),
        served("empty values", house.chat(b"X:", b"Y: ")),
        served("latin-1 in a value", house.chat(b"X: caf\xe9")),
        served("all token characters in a name", house.chat(b"!#$%&'*+-.^`|~09AZaz: x")),
        Case("close", house.chat(b"Connection: close"), (frozenset({200}),)),
        Case("HTTP/1.0", house.request(b"GET", b"/", version=b"HTTP/1.0"), (frozenset({200}),)),
        Case(
            "HTTP/1.0 told both",
            house.request(b"GET", b"/", (b"Connection: keep-alive", b"Connection: x, Close"), version=b"HTTP/1.0"),
            (frozenset({200}),),
        ),
        served("HTTP/1.0 kept alive", house.request(b"GET", b"/", (b"Connection: keep-alive",), version=b"HTTP/1.0")),
    ]
    assert await house.faults(cases) == []


async def test_t01_transfer_encoding_in_other_words(house: RawHouse) -> None:
    cases = [
        *(refused(f"{line!r} alone", house.request(headers=(line,), body=CHUNKED)) for line in TE_VARIANTS),
        *(refused(f"{line!r} after a length", house.chat(line)) for line in TE_VARIANTS),
        *(
            refused(
                f"{line!r} before a length",
                house.request(headers=(line, b"Content-Length: %d" % (SIZE + len(INNER))), body=CHAT + INNER),
            )
            for line in TE_VARIANTS
        ),
        refused("in HTTP/1.0", house.request(headers=(TE,), body=CHUNKED, version=b"HTTP/1.0")),
        refused("beside a length", house.chunked(CHUNKED, b"Content-Length: 4")),
        refused("beside a length of 0", house.chunked(CHUNKED, b"Content-Length: 0")),
        refused("after a length", house.request(headers=(b"Content-Length: 4", TE), body=CHUNKED)),
        refused("CL.TE with a request inside", house.request(
            headers=(b"Content-Length: %d" % (5 + len(INNER)), TE), body=b"0\r\n\r\n" + INNER)),
        refused("TE.CL with a request inside", house.request(
            headers=(TE, b"Content-Length: 4"), body=b"5c\r\n" + INNER + b"\r\n0\r\n\r\n")),
    ]  # fmt: skip
    assert await house.faults(cases) == []
    assert house.gate.engine.calls == []


async def test_t01_content_length_in_other_words(house: RawHouse) -> None:
    lines = [b"Content-Length: " + _filled(length, SIZE, SIZE) for length in LENGTHS]
    lines += [
        b"Content-Length : %d" % SIZE,
        b"Content_Length: %d" % SIZE,
        b"Content-Length",
        b"Content Length: %d" % SIZE,
    ]
    cases = [refused(repr(line), house.request(headers=(line,), body=CHAT)) for line in lines]
    assert await house.faults(cases) == []
    assert house.gate.engine.calls == []


async def test_t01_bodies_where_none_belongs(house: RawHouse) -> None:
    methods = {b"GET": b"/api/tags", b"HEAD": b"/", b"OPTIONS": b"/api/chat"}
    bodies = [((b"Content-Length: %d" % len(INNER),), INNER), ((TE,), b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER))]
    cases = [
        refused(f"{method!r} {headers!r}", house.request(method, target, headers, body))
        for method, target in methods.items()
        for headers, body in bodies
    ]
    cases += [
        refused("DELETE where no route takes it", house.request(b"DELETE", b"/api/chat", *bodies[0]), 405),
        refused("a body on a route without one", house.request(b"POST", b"/api/version", *bodies[0]), 405),
    ]
    assert await house.faults(cases) == []


async def test_t01_chunks_in_other_words(house: RawHouse) -> None:
    cases = [
        refused(repr(head[:40]), house.chunked(_filled(head, SIZE) + b"\r\n" + CHAT + b"\r\n0\r\n\r\n"))
        for head in CHUNK_HEADS
    ]
    cases += [refused(repr(framed), house.chunked(_filled(framed, SIZE, CHAT))) for framed in CHUNK_BODIES]
    cases += [refused(repr(line[:40]), house.chunked(CHUNKED[:-2] + line + b"\r\n\r\n")) for line in TRAILERS]
    assert await house.faults(cases) == []
    assert house.gate.engine.calls == []


async def test_t01_request_lines_and_headers_in_other_words(house: RawHouse) -> None:
    cases = [refused(repr(line), line + b"\r\nHost: localhost\r\n\r\n") for line in REQUEST_LINES]
    cases += [refused(repr(line), house.chat(line)) for line in HEADER_LINES]
    cases += [
        refused("lines that end in LF", house.chat().replace(b"\r\n", b"\n")),
        refused("a head that ends in LF LF", b"GET / HTTP/1.1\r\nHost: localhost\n\n"),
        refused("a head that ends in CR LF LF", b"GET / HTTP/1.1\r\nHost: localhost\r\n\n"),
        refused("lines that end in CR", b"GET / HTTP/1.1\rHost: localhost\r\r"),
        served("a method that we do not know", house.request(b"SOURCE", b"/api/chat"), 405),
        refused("headers without a request line", b"\r\nHost: localhost\r\n\r\n"),
    ]
    assert await house.faults(cases) == []


async def test_t01_a_boundary_across_any_two_reads(house: RawHouse) -> None:
    """The same answers, wherever the network cuts."""
    sent = (
        house.chunked(b"5;a=b\r\n" + CHAT[:5] + b"\r\n%x\r\n" % (SIZE - 5) + CHAT[5:] + b"\r\n0\r\nX: y\r\n\r\n")
        + SENTINEL
    )
    for cut in range(1, len(sent), 3):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(sent[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(sent[cut:])
        async with asyncio.timeout(PATIENCE_S):
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 2:
                part = await reader.read(65536)
                assert part, f"closed, cut at {cut}: {answers!r}"
                answers += part
        writer.transport.abort()


async def test_t01_a_refusal_is_read_by_who_still_sends(house: RawHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither lost to a reset, nor is anything of what follows it a request. The end comes before the lingering is
    over, or nothing would be read in PATIENCE_S.
    """
    monkeypatch.setattr(http_connection, "LINGER_S", PATIENCE_S * 10)
    unread = b"Content-Length: 1000000"
    cases = {
        400: b"GET / HTTP/3.1\r\n\r\n",
        417: house.chat(b"Expect: x"),
        401: house.request(headers=(unread,), body=b"x" * 1000, known=False),
        405: house.request(b"PUT", headers=(unread,), body=b"x" * 1000),
        413: house.request(headers=(b"Content-Length: 9000000",), body=b"x" * 1000),
    }
    for status, sent in cases.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.count(b"HTTP/1.1 ") == 1
        for _ in range(50):
            writer.write(SENTINEL * 1000)
            await writer.drain()
        assert house.server.open_connections == 1
        writer.close()
        await until(lambda: not house.server.open_connections)
    assert house.gate.engine.calls == []


async def test_t02_expect(house: RawHouse) -> None:
    words = (b"100-Continue, x", b"100-continue, 100-continue", b"y 100-continue", b"100-continue y", b"200-ok", b"",
             b"100", b"100-continue;q=1", b"\"100-continue\"", b"x=100-continue", b"100_continue")  # fmt: skip
    cases = [refused(repr(word), house.chat(b"Expect: " + word), 417) for word in words]
    cases += [
        served("without a body it asks for nothing", house.request(b"GET", b"/api/tags", (b"Expect: 100-continue",))),
        refused("twice", house.chat(b"Expect: 100-continue", b"Expect: 100-continue")),
        refused("folded", house.chat(b"Expect:\r\n 100-continue")),
        served("as it should be", house.chat(b"Expect: 100-continue"), 100, 200),
        served("in capitals", house.chat(b"Expect: 100-Continue"), 100, 200),
        refused("from a stranger", house.request(
            headers=(b"Expect: 100-continue", b"Content-Length: 9"), body=CHAT[:9], known=False), 401),
    ]  # fmt: skip
    assert await house.faults(cases) == []


async def test_t03_no_other_protocol_is_spoken(house: RawHouse) -> None:
    h2c = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    websocket = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    cases = [
        refused("h2c is ignored, and the end", house.request(b"GET", b"/", h2c), 200),
        refused("h2c with a body", house.chat(*h2c), 200),
        refused("h2c with chunks", house.chunked(CHUNKED, *h2c), 200),
        refused("websocket", house.request(b"GET", b"/v1/responses", websocket), 426),
        refused("websocket with a body", house.chat(*websocket), 426),
        refused("websocket in a list", house.chat(b"Connection: upgrade", b"Upgrade: h2c, WebSocket"), 426),
        refused("TLS/1.0", house.request(b"GET", b"/", (b"Connection: upgrade", b"Upgrade: TLS/1.0")), 200),
        refused("preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        refused("preface with settings", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
        served("Upgrade without Connection", house.request(b"GET", b"/", (b"Upgrade: h2c",))),
    ]
    for case in cases:
        assert 101 not in (await house.ask(case.sent + SENTINEL, 2 if case.lives else None)).statuses
    assert await house.faults(cases) == []


async def test_t04_a_flood_of_pipelined_requests_is_answered_in_turn(house: RawHouse) -> None:
    tracemalloc.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=2**16)
        before_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        count = 2000
        asking = asyncio.create_task(_write_all(writer, SENTINEL * 50, count // 50))
        answers = 0
        async with asyncio.timeout(60):
            while answers < count:
                answers += (await reader.readuntil(b"\r\n\r\n")).count(b"HTTP/1.1 200")
        await asking
        peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
        writer.transport.abort()
    finally:
        tracemalloc.stop()
    assert answers == count
    assert peak_bytes < 5_000_000


async def _write_all(writer: asyncio.StreamWriter, block: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(block)
        await writer.drain()
