"""A real redis-server for tests: on a Unix socket of its own, bounded, ended by its pid."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis import Redis

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0


class RedisServer:
    """One server process. `url` is what `store.url` takes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.socket = folder / "redis.sock"
        self.url = f"redis+unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it empty, and return when it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server: apt-get install redis-server")
        fixed = ("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "600", "--dir", str(self._folder))
        unsaved = (
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--maxmemory",
            "64mb",
            "--loglevel",
            "warning",
        )
        self._process = subprocess.Popen([program, *fixed, *unsaved, *self._options], stdout=subprocess.DEVNULL)
        ends_s = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if time.monotonic() > ends_s or self._process.poll() is not None:
                self.kill()
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.01)

    def ask(self, *command: Any) -> Any:
        """One command from the side."""
        with contextlib.closing(Redis(unix_socket_path=str(self.socket), socket_timeout=10.0)) as client:
            return client.execute_command(*command)

    def pause(self) -> None:
        """Stop the process where it is; what is sent to it waits."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; what it counted is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(ENDS_WITHIN_S)
            self._process = None
            self.socket.unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except Exception:
            return False


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A started server in a folder of its own; a socket's path must be short, so not in pytest's."""
    with tempfile.TemporaryDirectory(prefix="corral-redis-") as folder:
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
