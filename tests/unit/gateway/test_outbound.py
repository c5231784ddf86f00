"""The outbound client against a real server on loopback: statuses, redirects, bounds, cancellation."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import outbound as outbound_module
from gateway.outbound import Outbound, OutboundFault, OutboundRefused


async def handler(request: web.Request) -> web.StreamResponse:
    if request.path == "/redirect":
        raise web.HTTPFound("/whole")
    if request.path == "/teapot":
        return web.Response(status=418, body=b"short and stout")
    if request.path == "/echo":
        return web.json_response({name.lower(): value for name, value in request.headers.items()})
    if request.path == "/big":
        return web.Response(body=b"x" * 5000)
    if request.path == "/dripped":
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"part")
            await asyncio.sleep(0.01)  # a segment of its own
        return response
    if request.path == "/lines":
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"on", b"e\ntw", b"o\nthr", b"ee"):
            await response.write(part)
        return response
    return web.Response(body=b"whole")


@pytest.fixture
async def client() -> AsyncIterator[Outbound]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        client = Outbound(str(server.make_url("/")), api_key="k", connect_timeout_s=30.0, idle_timeout_s=30.0)
        yield client
        await client.close()


async def test_whole_answers(client: Outbound) -> None:
    assert await client.fetch("GET", "/whole") == b"whole"
    with pytest.raises(OutboundRefused) as refused:
        await client.fetch("GET", "/teapot")
    assert (refused.value.status, refused.value.body) == (418, b"short and stout")


async def test_an_answer_that_comes_in_pieces_is_whole(client: Outbound) -> None:
    assert await client.fetch("GET", "/dripped") == b"part" * 5


async def test_a_redirect_is_a_refusal(client: Outbound) -> None:
    with pytest.raises(OutboundRefused) as refused:
        await client.fetch("GET", "/redirect")
    assert refused.value.status == 302


async def test_only_our_own_headers_go_out(client: Outbound) -> None:
    echoed = await client.fetch("POST", "/echo", b"{}")
    for expected in (b'"authorization": "Bearer k"', b'"content-type": "application/json"'):
        assert expected in echoed
    for absent in (b"user-agent", b"accept-encoding", b"cookie"):
        assert absent not in echoed


async def test_lines_are_whole_whatever_the_pieces(client: Outbound) -> None:
    async with client.lines("/lines", b"{}") as lines:
        assert [line async for line in lines] == [b"one", b"two", b"three"]


async def test_bounds(client: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_module, "MAX_BODY_BYTES", 100)
    monkeypatch.setattr(outbound_module, "MAX_LINE_BYTES", 100)
    with pytest.raises(OutboundFault, match="too large"):
        await client.fetch("GET", "/big")
    async with client.lines("/big", b"{}") as lines:
        with pytest.raises(OutboundFault, match="too long"):
            [line async for line in lines]


async def test_a_caller_may_ask_for_less_and_sooner(client: Outbound) -> None:
    assert await client.fetch("GET", "/big", max_body_bytes=5000) == b"x" * 5000
    with pytest.raises(OutboundFault, match="too large"):
        await client.fetch("GET", "/big", max_body_bytes=4999)
    with pytest.raises(OutboundFault, match="too slow"):
        await client.fetch("GET", "/dripped", total_s=0.02)


async def test_a_refusal_is_bounded_too(client: Outbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_module, "MAX_REFUSAL_BYTES", 5)
    with pytest.raises(OutboundFault, match="too large"):
        await client.fetch("GET", "/teapot")


async def test_a_server_that_is_away() -> None:
    client = Outbound("http://127.0.0.1:1", connect_timeout_s=30.0, idle_timeout_s=30.0)
    with pytest.raises(OutboundFault, match="Client"):
        await client.fetch("GET", "/")
    await client.close()


async def test_a_status_whatever_it_is(client: Outbound) -> None:
    for path, status in (("/whole", 200), ("/teapot", 418), ("/redirect", 302), ("/dripped", 200)):
        assert await client.status("POST", path, b"", total_s=30.0) == status
    await client.close()
    away = Outbound("http://127.0.0.1:1", connect_timeout_s=30.0, idle_timeout_s=30.0)
    with pytest.raises(OutboundFault, match="Connect"):
        await away.status("POST", "/", b"", total_s=30.0)
    await away.close()
