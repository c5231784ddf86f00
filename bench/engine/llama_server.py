"""llama-server, the C++ server that Corral's loop replaces: same library, threads, slots, memory and batch.

It is asked on its own `/completion` with token ids, told to ignore the end token, and given the cheapest greedy
sampler it has. Its main thread computes; with one thread that one gets the compute core and all others the rest.
"""

import json
import os
from pathlib import Path
from typing import Any

from bench.engine.http_streams import Dialect, HttpStreams
from bench.engine.served_way import ServedWay
from bench.engine.server_process import ServerProcess, pin_thread, pin_threads
from bench.engine.way import BATCH_TOKENS, CannotRun, Setting
from bench.engine.workload import SCHEMA, Load, Prompt, request_options


class LlamaServer(ServedWay):
    """The running server."""

    name = "llama-server"

    def __init__(self, setting: Setting, program: Path) -> None:
        super().__init__(setting)
        self._program = program

    def _begin(self) -> HttpStreams:
        if not self._program.is_file():
            raise CannotRun(f"{self._program.name} is not built: make peers")
        log = self.setting.folder / f"llama-server-{self.setting.threads}.log"
        command: list[str | Path] = [self._program, *arguments(self.setting)]
        server = self._server = self._stack.enter_context(ServerProcess(command, log, "/health", {"PATH": os.defpath}))
        if self.setting.threads == 1:
            pin_threads(server.process.pid, self.setting.other_cores)
            pin_thread(server.process.pid, self.setting.compute_cores)
        return HttpStreams(server.url, DIALECT)

    def pids(self) -> list[int]:
        return [self._server.process.pid]


def arguments(setting: Setting) -> list[str]:
    """Its command line: what Corral's worker has too, and nothing that is fetched or shown."""
    options = {
        "-m": setting.model_file,
        "--host": "127.0.0.1",
        "-np": setting.slots,
        "-c": setting.slots * setting.context_tokens,
        "-b": BATCH_TOKENS,
        "-ub": BATCH_TOKENS,
        "-t": setting.threads,
        "-tb": setting.threads,
        "-fit": "off",
    }
    return ["-kvu", "--offline", "--no-ui", *(str(part) for pair in options.items() for part in pair)]


def body(load: Load, prompt: Prompt) -> dict[str, Any]:
    """A request of its own kind."""
    asked = request_options(load, prompt.seed)
    cap = asked.pop("num_predict")
    made = {"prompt": list(prompt.ids), "stream": True, "n_predict": cap, "ignore_eos": True, **asked}
    if not load.temperature:
        made |= {"samplers": ["top_k"], "top_k": 1}
    if load.schema:
        made |= {"json_schema": SCHEMA, "ignore_eos": False}  # ignoring it would take the only way out of a grammar
    return made


def is_text(line: bytes) -> bool:
    """Each event but the last brings text."""
    return line.startswith(b"data: ") and b'"stop":false' in line


def count(lines: list[bytes]) -> int:
    """What the last event says was predicted."""
    last = next(line for line in reversed(lines) if line.startswith(b"data: {"))
    return int(json.loads(last[6:])["tokens_predicted"])


DIALECT = Dialect("/completion", body, is_text, count)
