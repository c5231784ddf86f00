"""What is not there, or says that it is not ready, is not ready."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.homes.local_ca import issue_server_tls
from setup.readiness import is_ready


class Answer(BaseHTTPRequestHandler):
    """Answers with the status that the server is set to."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/health/ready" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_the_status_counts(server: HTTPServer, status: int, ready: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # would refuse
    server.status = status  # type: ignore[attr-defined]
    assert is_ready(f"http://127.0.0.1:{server.server_port}", "") is ready


@pytest.mark.parametrize("ours", [True, False])
def test_only_our_own_authority_is_trusted(server: HTTPServer, tmp_path: Path, ours: bool) -> None:
    served, trusted = (issue_server_tls((), datetime.now(UTC)) for _ in range(2))
    (tmp_path / "chain.pem").write_bytes(served.key_pem + served.certificate_pem)
    (tmp_path / "ca.pem").write_bytes(served.ca_pem if ours else trusted.ca_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.status = 200  # type: ignore[attr-defined]
    assert is_ready(f"https://127.0.0.1:{server.server_port}", str(tmp_path / "ca.pem")) is ours


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, and nobody listens
        assert not is_ready(f"http://127.0.0.1:{unused.getsockname()[1]}", "")
