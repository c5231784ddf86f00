"""Without a valid key nothing but the open routes answers: on the real socket, before a byte of body is sent."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from gateway.dialects import ollama, openai
from tests.e2e.serving import Corral, until

pytestmark = pytest.mark.e2e
SECURED = [
    (method, route.path.replace("{model}", "m"))
    for route in (*ollama.ROUTES, *openai.ROUTES)
    if route.scope != "open"
    for method in route.method_names
]
UNKNOWN = [("GET", "/nothing"), ("POST", "/v1/nothing"), ("DELETE", "/api/delete"), ("GET", "/metrics"), ("POST", "/")]
BODYLESS = ("GET", "HEAD")


@pytest.fixture(scope="module")
def corral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    """Alive without a model: none is needed to refuse."""
    corral = Corral(tmp_path_factory.mktemp("unauthorized"), engine={"models": []}).make(None)
    with (corral.home / "policy.yaml").open("a") as policy:
        policy.write("\nfailed_credentials_per_minute: 10000\n")  # the bound on guessing is another test's
    corral.start("/health/live")
    yield corral
    assert corral.stop() == 0


@pytest.fixture(scope="module")
def credentials(corral: Corral) -> dict[str, str | None]:
    revoked = corral.new_key()
    corral.command("keys", "revoke", revoked["id"], "--reason", "test")
    expired = corral.new_key("--expires", "1s")["key"]
    assert until(lambda: corral.request("GET", "/api/version", key=expired)[0] == 401)
    wrong = corral.key[:-8] + ("A" * 8 if not corral.key.endswith("A" * 8) else "B" * 8)
    unknown = "corral_" + "A" * 12 + "_" + "B" * 49
    return {
        "none": None,
        "malformed": "nonsense",
        "wrong": wrong,
        "unknown": unknown,
        "expired": expired,
        "revoked": revoked["key"],
    }


@pytest.mark.parametrize(("method", "path"), SECURED + UNKNOWN)
def test_one_answer_for_every_cause(corral: Corral, credentials: dict[str, str | None], method: str, path: str) -> None:
    answers = {ask(corral, method, path, key) for key in credentials.values()}
    assert len(answers) == 1
    [answer] = answers
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_stranger_who_asks_before_sending_is_not_told_to_go_on(corral: Corral) -> None:
    for key in (None, "nonsense"):
        answer = ask(corral, "POST", "/api/chat", key, "Expect: 100-continue", "Content-Encoding: gzip")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"100 Continue" not in answer


@pytest.mark.parametrize("path", ["/", "/health/live"])
def test_open_routes_answer_everybody(corral: Corral, path: str) -> None:
    assert ask(corral, "GET", path, None).startswith(b"HTTP/1.1 200 ")


def ask(corral: Corral, method: str, path: str, key: str | None, *more: str) -> bytes:
    """The reply to a head whose body is announced and never sent; what differs by nature is left out."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *more]
    head += [] if key is None else [f"Authorization: Bearer {key}"]
    head += [] if method in BODYLESS else ["Content-Type: application/json", "Content-Length: 100"]
    with (
        socket.create_connection(("127.0.0.1", corral.port), timeout=60) as plain,
        corral.tls().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        answer = _whole_answer(connection, expects_body=method != "HEAD")
    lines = answer.split(b"\r\n")
    own = (b"date:", b"x-request-id:")
    bearer = b"www-authenticate:"  # RFC 6750: `error=` tells a refused key from none
    return b"\r\n".join(line for line in lines if not line.lower().startswith((*own, bearer)))


def _whole_answer(connection: ssl.SSLSocket, *, expects_body: bool) -> bytes:
    """Head and body; the connection may stay open a while, waiting for a body that never comes."""
    with connection.makefile("rb") as stream:
        head = b"".join(iter(lambda: stream.readline() or b"\r\n", b"\r\n"))
        length = next(line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length:"))
        return head + b"\r\n" + (stream.read(int(length)) if expects_body else b"")
