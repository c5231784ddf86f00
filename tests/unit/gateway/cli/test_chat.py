"""Invariant: a conversation ends with the answer or with one line that names what went wrong, never in between."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.cli.main import main

PIECES = [{"message": {"content": "Pa"}, "done": False}, {"message": {"content": "ris"}, "done": True}]


class Gateway(BaseHTTPRequestHandler):
    """Keeps what it is asked and answers the lines that the server is set to."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.headers["Authorization"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.lines)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    server.asked, server.lines = [], b"".join(json.dumps(piece).encode() + b"\n" for piece in PIECES)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (tmp_path / "config.yaml").write_text(f"public: {{port: {server.server_port}, unsafe_no_tls: true}}\n")
    monkeypatch.setenv("CORRAL_API_KEY", "corral_k")
    monkeypatch.setenv("CORRAL_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo caf\udce9\n"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_conversation(gateway: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "m"]) == 0
    assert capsys.readouterr().out == "Paris\nParis\n"
    (authorization, _), (_, body) = gateway.asked  # type: ignore[attr-defined]
    assert authorization == "Bearer corral_k"
    assert [said["content"] for said in body["messages"]] == ["one", "Paris", "two caf\ufffd"]


def test_a_conversation_as_json(gateway: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "m", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [{"role": "assistant", "content": "Paris"}] * 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b'{"error": "model \'m\' not found"}\n', "the gateway answered: model 'm' not found"),
        (b'{"message": {"content": "Pa"}, "done": false}\n', "the answer broke off"),
        (b"<html>", "is no Corral"),
        (b"{}\n", "is no Corral"),
        (b"[]\n", "is no Corral"),
    ],
)
def test_what_is_no_answer(gateway: HTTPServer, lines: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.lines = lines  # type: ignore[attr-defined]
    assert main(["chat", "m"]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("ca", [None, "junk"])
def test_no_certificate_to_trust_it_by(
    gateway: HTTPServer, ca: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    if ca:
        (tmp_path / "tls").mkdir()
        (tmp_path / "tls" / "ca.pem").write_text(ca)
    assert main(["chat", "m"]) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path}/tls/ca.pem" in err
    assert err.count("\n") == 1


def test_without_a_key(
    gateway: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CORRAL_API_KEY")
    assert main(["chat", "m"]) == 2
    assert "set CORRAL_API_KEY" in capsys.readouterr().err
