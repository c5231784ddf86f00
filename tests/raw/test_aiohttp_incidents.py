"""aiohttp's own holes, each by its number, with the shape of its request, on the wire.

Those of its client, its static files, its templates and cookies have no place here: none of them is used.
"""

import asyncio
import gzip

import pytest

from gateway.http.self_test import UnfitParser, demand_fit_parser
from tests.raw.raw_house import CHAT, PATIENCE_S, RawHouse, refused, served

SIZE = len(CHAT)
HEAD = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n"
FRAMING: list[tuple[str, bytes]] = [
    ("CVE-2021-21330 a path that is a host", b"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("CVE-2023-37276 a bare CR in a value", HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n"),
    ("CVE-2023-47627 a signed length", HEAD + b"Content-Length: +0\r\n\r\n"),
    ("CVE-2023-47627 a length with an underscore", HEAD + b"Content-Length: 1_0\r\n\r\n"),
    ("CVE-2023-47627 a name with a NUL", HEAD + b"Content\x00Length: 0\r\n\r\n"),
    ("CVE-2023-47641 length and coding", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("CVE-2023-49081 a version with more", b"GET /api/tags HTTP/1.1\rX: y\r\nHost: localhost\r\n\r\n"),
    ("CVE-2023-49082 a method with more", b"GET\rX /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("CVE-2024-23829 a blank before the colon", HEAD + b"Content-Length : 0\r\n\r\n"),
    ("CVE-2024-23829 a version of other digits", b"GET /api/tags HTTP/1.\xd9\xa1\r\nHost: localhost\r\n\r\n"),
    ("CVE-2025-69224 digits of another script", HEAD + b"Content-Length: \xd9\xa0\r\n\r\n"),
    ("CVE-2026-34525 two hosts", b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n"),
    ("CVE-2026-111750 a coding in other words", HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
]
CHUNKS: list[tuple[str, bytes]] = [
    ("CVE-2024-52304 a newline in an extension", b"2;\nxx\r\nab\r\n0\r\n\r\n"),
    ("CVE-2025-53643 a trailer that frames", b"%x\r\n%b\r\n0\r\nContent-Length: 9\r\n\r\n" % (SIZE, CHAT)),
    ("CVE-2025-53643 a trailer that authorises", b"%x\r\n%b\r\n0\r\nAuthorization: Bearer x\r\n\r\n" % (SIZE, CHAT)),
    ("CVE-2025-69225 digits of another script in a chunk", b"\xd9\xa2\r\nab\r\n0\r\n\r\n"),
    ("CVE-2026-22815 a trailer without an end", b"%x\r\n%b\r\n0\r\nX: " % (SIZE, CHAT) + b"a" * 20_000 + b"\r\n\r\n"),
]


async def test_what_smuggled_through_aiohttp_once_is_one_400_and_the_end(house: RawHouse) -> None:
    cases = [refused(name, sent) for name, sent in FRAMING]
    cases += [refused(name, house.chunked(framed)) for name, framed in CHUNKS]
    control = served("the same without the trick", house.chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CHAT)))
    assert await house.faults([control, *cases, control]) == []


async def test_cve_2025_69223_a_bomb_is_not_unpacked(house: RawHouse) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    told = await house.ask(house.chat(b"Content-Encoding: gzip", body=bomb), 1)
    assert told.statuses == [415]


async def test_cve_2025_69228_and_2026_34516_multipart_is_not_parsed(house: RawHouse) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\nX: ' + b"a" * 6000 + b"\r\n\r\n" + b"y" * 90_000
    told = await house.ask(house.chat(b"Content-Type: multipart/form-data; boundary=b", body=part), 1)
    assert told.statuses == [400]


async def test_cve_2025_69229_a_body_of_single_bytes_is_read_or_refused_and_no_loop(house: RawHouse) -> None:
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in CHAT + b" " * 5000) + b"0\r\n\r\n"
    async with asyncio.timeout(PATIENCE_S):
        told = await house.ask(house.chunked(framed), 1)
    assert told.statuses == [200]


async def test_cve_2026_54273_requests_sent_ahead_wait_outside(house: RawHouse) -> None:
    told = await house.ask(house.request(b"GET", b"/health/live", known=False) * 500, 500)
    assert told.statuses == [200] * 500


async def test_cve_2026_69243_an_upgrade_with_a_body_hides_no_request(house: RawHouse) -> None:
    hidden = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for word in (b"h2c", b"websocket", b"x"):
        sent = house.chat(b"Connection: Upgrade", b"Upgrade: " + word, body=hidden)
        told = await house.ask(sent)
        assert len(told.statuses) == 1
        assert told.closed


def test_cve_2025_69227_no_start_without_assertions() -> None:
    fit = {"version": "3.14.5", "parser_module": "aiohttp._http_parser", "extensions_off": False}
    demand_fit_parser(**fit, optimize=0)
    with pytest.raises(UnfitParser, match="assertions are off"):
        demand_fit_parser(**fit, optimize=1)
