"""A real Corral in a folder of its own: the commands a user types, real processes, real sockets."""

import contextlib
import functools
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = "smollm2:135m"
SYSTEM = "You are a helpful assistant."
"""As `make serve` sets it: with the message of its own template this small model answers in French."""
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0
COMMAND_WITHIN_S = 120.0
ANSWERS_WITHIN_S = 180.0
"""Longer than a request waits in the queue, which tells it so then."""
PORTS = range(20_000, 32_000)
"""Linux gives none of them to a connection that asks for no port (32768 to 60999), so what is free now is free when it
is bound, seconds and many connections later."""
_untried = iter(random.SystemRandom().sample(PORTS, len(PORTS)))


def free_port() -> int:
    """A port of loopback that nobody listens on now, and that was not handed out before. Raises RuntimeError."""
    for port in _untried:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port of loopback is free")


class Corral:
    """One home and its `corral serve`."""

    serve: tuple[str, ...] = ("gateway.cli.main", "serve")
    """What runs it: a module and its first words."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.home = folder / "home"
        self.port, self.admin_port = free_port(), free_port()
        self._config = {"public": {"port": self.port}, "admin": {"port": self.admin_port}, **config}
        self._log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.key = ""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.home / "tls" / "ca.pem"

    def client_environment(self) -> dict[str, str]:
        """What the official clients are set up by: the variables that `make serve` prints."""
        return {
            "OLLAMA_HOST": self.url,
            "OLLAMA_API_KEY": self.key,
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": self.key,
            "SSL_CERT_FILE": str(self.ca),
        }

    def command(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `corral WORDS --home ...` as a user without a terminal would."""
        argv = [sys.executable, "-m", "gateway.cli.main", *words, "--home", str(self.home)]
        return subprocess.run(
            argv, capture_output=True, text=True, check=check, timeout=COMMAND_WITHIN_S, cwd=REPOSITORY
        )

    def make(self, model_file: Path | None) -> "Corral":
        """init, import the model, set ports."""
        self.command("init")
        self.key = (self.home / "first-key").read_text().strip()
        if model_file is not None:
            self.command("models", "import", str(model_file), MODEL, "--system", SYSTEM)
        (self.home / "config.yaml").write_text(yaml.safe_dump(self._config))
        return self

    def start(self, probe: str = "/health/ready") -> "Corral":
        """Serve, and wait until `probe` answers 200."""
        argv = [sys.executable, "-m", *self.serve, "--home", str(self.home)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=REPOSITORY)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.answers(probe):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"corral serve did not become ready:\n{self.log()}")
            time.sleep(0.05)
        return self

    def stop(self) -> int:
        """SIGTERM and wait; the exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_WITHIN_S)
            raise AssertionError(f"corral serve did not stop:\n{self.log()}") from None

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)

    def connect(self, port: int | None = None) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", port or self.port, context=self.tls(), timeout=ANSWERS_WITHIN_S)

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, port: int | None = None
    ) -> tuple[int, bytes]:
        """One whole exchange; `key` None takes the home's first key, "" sends none."""
        chosen = self.key if key is None else key
        headers = {"Authorization": f"Bearer {chosen}"} if chosen else {}
        connection = self.connect(port)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        return self.answers("/health/ready")

    def answers(self, probe: str) -> bool:
        """Whether the open route `probe` answers 200."""
        try:
            return self.request("GET", probe, key="")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("status", "--json").stdout))

    def new_key(self, *words: str) -> dict[str, str]:
        return dict(json.loads(self.command("keys", "create", "--team", "default", "--json", *words).stdout))

    @functools.cached_property
    def metrics_key(self) -> str:
        """A key that reads the metrics, made when first asked for: every process knows it within a second."""
        return self.new_key("--scope", "metrics")["key"]

    def records(self) -> list[dict[str, Any]]:
        """The log's whole lines; one that is being written is left for the next look."""
        files = sorted((self.home / "audit").glob("*/*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def counters(self) -> dict[str, dict[str, float]]:
        """The workers' own totals, by target.

        Asked again as long as the page leaves a worker out, in a long step, or a gateway is killed over the question.
        """
        found: dict[str, dict[str, float]] = {}

        def has_all() -> bool:
            found.clear()
            with contextlib.suppress(OSError, http.client.HTTPException):
                found.update(self.worker_totals())
            return len(found) >= len(self.children("engine.worker"))

        until(has_all)
        return found

    def worker_totals(self) -> dict[str, dict[str, float]]:
        """What /metrics of the gateway that happens to answer tells now, read as an operator would."""
        status, page = self.request("GET", "/metrics", key=self.metrics_key, port=self.admin_port)
        assert status == 200, page
        found: dict[str, dict[str, float]] = {}
        for line in page.decode().splitlines():
            if line.startswith("corral_worker_total{"):
                labels, value = line.removeprefix("corral_worker_total{").split("} ")
                named = dict(pair.split("=", 1) for pair in labels.split(","))
                found.setdefault(named["target"].strip('"'), {})[named["counter"].strip('"')] = float(value)
        return found

    def children(self, part: str) -> list[int]:
        """Pids of descendants of `corral serve` whose command line contains `part`."""
        assert self.process is not None
        return [pid for pid in _descendants(self.process.pid) if part in _command_line(pid)]


@contextlib.contextmanager
def serving(folder: Path, model_file: Path | None, **config: Any) -> Iterator[Corral]:
    """A Corral made, started, and stopped at the end with status 0."""
    folder.mkdir(parents=True, exist_ok=True)
    with started(Corral(folder, **config).make(model_file)) as corral:
        yield corral


@contextlib.contextmanager
def started(corral: Corral) -> Iterator[Corral]:
    """As `serving`, of a Corral that was made before."""
    corral.start()
    try:
        yield corral
    finally:
        status = corral.stop()
    assert status == 0, corral.log()


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in children for each in (int(child), *_descendants(int(child)))]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def end(pid: int) -> None:
    """SIGKILL, the end that cannot be handled."""
    os.kill(pid, signal.SIGKILL)


def until(holds: Any, seconds: float = 60.0) -> bool:
    """Poll `holds()` until it is true; time is over only where something hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())  # once more, should this process have stood still
