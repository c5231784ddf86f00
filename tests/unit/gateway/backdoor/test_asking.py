"""Real servers on loopback: what counts as open, what as closed, and what is never sent."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.backdoor import asking
from gateway.backdoor.asking import ask, is_own_address
from gateway.backdoor.engine_kinds import ROUTES, Kind
from gateway.backdoor.findings import Look
from gateway.backdoor.suspects import Suspect
from gateway.outbound_clients import OutboundClients
from policies.addresses.egress import ANYWHERE
from tests.authority import Authority
from tests.outbound import ANY_HOST

Answer = Callable[[web.Request], web.StreamResponse]


class Server:
    """A model server that answers every request by one function and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.path, await request.read(), headers))
        return self.answer(request)


@contextlib.asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These servers answer at once, also where that takes a while: those about silence set it themselves."""
    monkeypatch.setattr(asking, "CONNECT_TIMEOUT_S", 30.0)
    monkeypatch.setattr(asking, "ANSWER_TIMEOUT_S", 30.0)


def suspect(port: int, kind: Kind = "ollama", *urls: str, certain: bool = True, here: bool = False) -> Suspect:
    return Suspect(
        address="10.0.0.9",
        port=port,
        here=here,
        kind=kind,
        certain=certain,
        urls=urls or (f"http://127.0.0.1:{port}",),
    )


async def asked(answer: Answer, kind: Kind = "ollama", *, certain: bool = True) -> tuple[Look, Server]:
    async with serving(answer) as server:
        return await ask(suspect(server.port, kind, certain=certain), ANY_HOST), server


def status(code: int) -> Answer:
    return lambda _: web.Response(status=code)


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_who_refuses_everything_is_closed(code: int) -> None:
    look, server = await asked(status(code))
    assert (look.verdict, look.findings) == ("closed", ())
    assert [path for _, path, _, _ in server.seen] == [*ROUTES["ollama"], "/api/tags"]


@pytest.mark.parametrize("code", [200, 201, 302, 400, 405, 415, 422, 429, 500, 503])
async def test_any_other_answer_is_open(code: int) -> None:
    look, _ = await asked(status(code), "vllm")
    assert look.verdict == "open"
    assert {(each.status, each.port, each.address) for each in look.findings} == {(code, look.suspect.port, "10.0.0.9")}
    assert [each.route for each in look.findings] == list(ROUTES["vllm"])


async def test_a_real_ollama_is_open_with_its_models_counted() -> None:
    def ollama(request: web.Request) -> web.Response:
        if request.path == "/api/tags":
            return web.json_response({"models": [{"name": "a"}, {"name": "b"}]})
        return web.json_response({"error": "missing request body"}, status=400)

    look, _ = await asked(ollama)
    assert look.verdict == "open"
    assert look.findings[-1].models == 2
    assert look.findings[0].status == 400


async def test_an_ollama_that_only_lists_its_models_is_open() -> None:
    def half(request: web.Request) -> web.Response:
        return web.json_response({"models": []}) if request.method == "GET" else web.Response(status=401)

    look, _ = await asked(half)
    assert (look.verdict, [(each.route, each.models) for each in look.findings]) == ("open", [("/api/tags", 0)])


@pytest.mark.parametrize(
    "body", [b'{"models": [], "object": "list", "data": []}', b"{}", b"[]", b"not json", b"[" * 100_000, b""]
)
async def test_a_list_that_is_not_ollamas_proves_nothing(body: bytes) -> None:
    def guarded(request: web.Request) -> web.Response:
        return web.Response(body=body) if request.method == "GET" else web.Response(status=401)

    assert (await asked(guarded))[0].verdict == "closed"


async def test_a_vllm_whose_key_leaves_invocations_open_is_open() -> None:
    def keyed(request: web.Request) -> web.Response:
        return web.Response(status=401 if request.path.startswith("/v1/") else 422)

    look, server = await asked(keyed, "vllm")
    assert look.verdict == "open"
    assert {each.route for each in look.findings} == {route for route in ROUTES["vllm"] if route[:4] != "/v1/"}
    assert "/v1/models" not in {path for _, path, _, _ in server.seen}


async def test_a_llama_server_with_a_key_is_closed_though_it_lists_models() -> None:
    def keyed(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.method == "GET" else 401)

    assert (await asked(keyed, "llama-server"))[0].verdict == "closed"


async def test_nothing_is_sent_that_could_do_anything() -> None:
    _, server = await asked(status(401), certain=False)
    for method, path, body, headers in server.seen:
        assert body == b""
        assert method == ("GET" if path == "/api/tags" else "POST")
        assert not {"authorization", "cookie", "x-api-key"} & headers.keys()
    assert len(server.seen) == len({route for each in ROUTES.values() for route in each}) + 1


async def test_who_is_away_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert (await ask(suspect(port), ANY_HOST)).verdict == "silent"


async def test_who_breaks_off_is_silent_but_what_it_said_counts() -> None:
    def breaking(after: int, code: int) -> Answer:
        asked_so_far = [0]

        def answer(request: web.Request) -> web.Response:
            asked_so_far[0] += 1
            if asked_so_far[0] > after:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=code)

        return answer

    assert (await asked(breaking(0, 401)))[0].verdict == "silent"
    assert (await asked(breaking(3, 401)))[0].verdict == "silent"
    assert (await asked(breaking(3, 400)))[0].verdict == "open"


async def test_who_never_answers_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        look = await asyncio.wait_for(ask(suspect(mute.getsockname()[1]), ANY_HOST), 30)
    assert look.verdict == "silent"


async def test_the_next_address_is_asked_when_one_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        gone = free.getsockname()[1]
    async with serving(status(400)) as server:
        urls = (f"http://127.0.0.1:{gone}", f"http://127.0.0.1:{server.port}")
        assert (await ask(suspect(server.port, "ollama", *urls), ANY_HOST)).verdict == "open"


async def test_a_server_here_is_asked_over_tls_whatever_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server())
    async with serving(status(400), context) as server:
        urls = (f"http://127.0.0.1:{server.port}", f"https://127.0.0.1:{server.port}")
        assert (await ask(suspect(server.port, "ollama", *urls, here=True), ANY_HOST)).verdict == "open"
        elsewhere = suspect(server.port, "ollama", urls[1])
        assert (await ask(elsewhere, ANY_HOST)).verdict == "silent"
        known = msgspec.structs.replace(elsewhere, ca_file=authority.bundle.name)
        assert (await ask(known, OutboundClients(ANYWHERE, tmp_path))).verdict == "open"


async def test_a_socket_bound_to_anothers_address_aims_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """IP_FREEBIND needs no right: anybody here may bind 192.0.2.77 (RFC 5737, nobody's) and have it asked."""
    asked: list[str] = []
    monkeypatch.setattr(asking, "Outbound", lambda url, **_: asked.append(url))
    found = suspect(11434, "ollama", "http://192.0.2.77:11434", "https://[2001:db8::77]:11434", here=True)
    assert (await ask(found, ANY_HOST)).verdict == "silent"
    assert asked == []


def test_which_addresses_are_this_machines() -> None:
    assert [is_own_address(each) for each in ("127.0.0.1", "127.9.9.9", "192.0.2.77", "2001:db8::77", "", "x")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.connect(("192.0.2.77", 9))
        assert is_own_address(other.getsockname()[0])


async def test_a_ca_file_that_is_away_is_no_answer(tmp_path: Path) -> None:
    named = msgspec.structs.replace(suspect(1, "ollama", "https://127.0.0.1:1"), ca_file="gone.pem")
    assert (await ask(named, OutboundClients(ANYWHERE, tmp_path))).verdict == "silent"
