"""T7 and API8: only the pages of listed origins may use the API from a browser; by default none."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.raw.raw_house import RawHouse, raw_house, refused, served

CHAT_PAGE = b"Origin: https://chat.example"
ASKS = (b"Access-Control-Request-Method: POST", b"Access-Control-Request-Headers: authorization, content-type")
OTHERS = (
    b"Origin: null", b"Origin: https://evil.example", b"Origin: http://chat.example",
    b"Origin: https://chat.example:8443",
    b"Origin: https://chat.example.evil.example", b"Origin: https://evil.example/https://chat.example", b"Origin: *",
    b"Origin:",
    b"Origin: https://localhost", b"Origin: http://127.0.0.1", b"Origin: https://CHAT.example",
    b"Origin: https://chat.example/",
    b"Origin: https://chat.example, https://evil.example", b"Origin: file://", b"Origin: https://chat.example\xff",
)  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RawHouse]:
    async with raw_house(tmp_path, cors_origins=("https://chat.example",)) as built:
        yield built


async def test_t07_another_origin_is_refused_everywhere(house: RawHouse) -> None:
    get = house.request
    cases = [
        served(f"{origin!r} {method!r} {target!r} {known}", get(method, target, (origin, *extra), known=known), 403)
        for origin in OTHERS
        for method, target, extra, known in (
            (b"GET", b"/", (), False), (b"GET", b"/health/live", (), False), (b"GET", b"/api/tags", (), False),
            (b"GET", b"/api/tags", (), True), (b"OPTIONS", b"/api/chat", ASKS, False), (b"GET", b"/nothing", (), True),
        )
    ]  # fmt: skip
    cases += [
        refused("with a body", house.chat(OTHERS[1]), 403),
        refused("two origins", house.request(b"GET", b"/", (CHAT_PAGE, CHAT_PAGE))),
    ]
    assert await house.faults(cases) == []
    assert house.gate.engine.calls == []
    told = await house.ask(house.request(b"GET", b"/api/tags", (OTHERS[1],)), 1)
    assert b"access-control" not in told.raw.lower()


async def test_t07_a_listed_origin_is_served_and_named(house: RawHouse) -> None:
    stream = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    for sent, status in (
        (house.chat(CHAT_PAGE), 200),
        (house.chat(CHAT_PAGE, body=stream), 200),
        (house.request(b"GET", b"/", (CHAT_PAGE,), known=False), 200),
        (house.request(b"GET", b"/api/tags", (CHAT_PAGE,), known=False), 401),
        (house.request(b"GET", b"/nothing", (CHAT_PAGE,)), 404),
    ):
        told = await house.ask(sent, 1)
        assert told.statuses == [status]
        assert b"\r\nAccess-Control-Allow-Origin: https://chat.example\r\n" in told.raw
        assert b"\r\nVary: Origin\r\n" in told.raw
        assert b"Allow-Credentials" not in told.raw
    without = await house.ask(house.chat(), 1)
    assert b"Access-Control" not in without.raw


async def test_t07_a_preflight_needs_no_key_but_a_listed_origin(house: RawHouse) -> None:
    options = house.request(b"OPTIONS", b"/api/chat", (CHAT_PAGE, *ASKS), known=False)
    told = await house.ask(options, 1)
    assert told.statuses == [204]
    for line in (
        b"Access-Control-Allow-Origin: https://chat.example",
        b"Access-Control-Allow-Methods: POST",
        b"Access-Control-Max-Age: 600",
    ):
        assert b"\r\n" + line + b"\r\n" in told.raw
    assert b"Content-Length" not in told.raw
    cases = [
        served("a preflight", options, 204),
        served("for a path that is not there", house.request(b"OPTIONS", b"/nothing",
        (CHAT_PAGE, *ASKS), known=False), 401),
        served("OPTIONS that is no preflight", house.request(b"OPTIONS", b"/api/chat", (CHAT_PAGE,), known=False), 401),
        served("OPTIONS with a key", house.request(b"OPTIONS", b"/api/chat"), 405),
        refused("a preflight with a body", house.request(
            b"OPTIONS", b"/api/chat", (CHAT_PAGE, *ASKS, b"Content-Length: 2"), b"{}", known=False)),
    ]  # fmt: skip
    assert await house.faults(cases) == []


async def test_t07_by_default_no_page_may_call(tmp_path: Path) -> None:
    async with raw_house(tmp_path) as house:
        cases = [
            served("with a key", house.request(b"GET", b"/api/tags", (CHAT_PAGE,)), 403),
            served("preflight", house.request(b"OPTIONS", b"/api/chat", (CHAT_PAGE, *ASKS), known=False), 403),
            served("without Origin", house.request(b"GET", b"/api/tags")),
        ]
        assert await house.faults(cases) == []
