"""An Ollama that answers at once with a few words, for proofs that are about the gateway in front of it alone."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

MODEL = "small:latest"
WORDS = ("one ", "two ", "three")
TAG = {"name": MODEL, "model": MODEL, "digest": "d" * 64, "size": 1, "modified_at": "2026-01-01T00:00:00Z"}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(json.dumps({"models": [TAG]}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/api/chat":
            self._send(json.dumps({"details": {}, "model_info": {}, "capabilities": ["completion"]}).encode())
            return
        lines = [{"model": MODEL, "message": {"role": "assistant", "content": word}, "done": False} for word in WORDS]
        counts = {"prompt_eval_count": 4, "eval_count": len(WORDS), "total_duration": 1, "eval_duration": 1}
        end = {"model": MODEL, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, {**end, **counts}]))

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A gateway that was killed breaks its connections: that is no news here."""


class SmallUpstream:
    """`url` answers for the length of the block."""

    def __enter__(self) -> "SmallUpstream":
        self._server = _Server(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
