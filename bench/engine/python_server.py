"""`python -m llama_cpp.server`: the server of the package whose library Corral uses. One request at a time.

Its model answers one caller and lets the others wait for a lock; `interrupt_requests` is off, since it would end an
answer as soon as the next caller comes. It runs where the kernel puts it, on all cores.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from bench.engine.http_streams import Dialect, HttpStreams
from bench.engine.served_way import ServedWay
from bench.engine.server_process import ServerProcess
from bench.engine.way import BATCH_TOKENS, CannotRun, Setting
from bench.engine.workload import SUSTAINED, Load, Prompt, request_options

# Its cache imports diskcache (CVE-2025-69872, see docs/dependencies.md), which is not installed: an empty module does.
_START = (
    "import sys, types; sys.modules['diskcache'] = types.ModuleType('diskcache'); "
    "from llama_cpp.server.__main__ import main; main()"
)


class PythonServer(ServedWay):
    """The running server. `packages` is the folder of what it imports beyond Corral's environment."""

    name = "llama_cpp.server"

    def __init__(self, setting: Setting, packages: Path) -> None:
        super().__init__(setting)
        self._packages = packages

    def _begin(self) -> HttpStreams:
        if not (self._packages / "fastapi").is_dir():
            raise CannotRun("what llama_cpp.server imports is not there: make peers")
        log = self.setting.folder / "llama_cpp.server.log"
        environment = {"PATH": os.defpath, "PYTHONPATH": str(self._packages), "LANG": "C.UTF-8"}
        command = [sys.executable, "-c", _START, *arguments(self.setting)]
        server = self._server = self._stack.enter_context(ServerProcess(command, log, "/v1/models", environment))
        return HttpStreams(server.url, DIALECT)

    def offers(self, load: Load) -> str:
        if load.name == SUSTAINED:
            return "one request at a time, as in the other loads"
        return "no schema in completions" if load.schema else ""

    def pids(self) -> list[int]:
        return [self._server.process.pid]


def arguments(setting: Setting) -> list[str]:
    """Its command line: one sequence of the context that a slot has elsewhere."""
    options = {
        "--model": setting.model_file,
        "--host": "127.0.0.1",
        "--n_ctx": setting.context_tokens,
        "--n_batch": BATCH_TOKENS,
        "--n_ubatch": BATCH_TOKENS,
        "--n_threads": setting.threads,
        "--n_threads_batch": setting.threads,
        "--interrupt_requests": "false",
        "--verbose": "false",
    }
    return [str(part) for pair in options.items() for part in pair]


def body(load: Load, prompt: Prompt) -> dict[str, Any]:
    """A completion in OpenAI's words."""
    asked = request_options(load, prompt.seed)
    return {"prompt": prompt.text, "stream": True, "max_tokens": asked.pop("num_predict"), **asked}


def is_text(line: bytes) -> bool:
    """An event with text in it; the last one has none."""
    return line.startswith(b"data: {") and b'"text":""' not in line.replace(b'": ', b'":')


def count(lines: list[bytes]) -> int:
    """One event a token: it does not say how many there were."""
    return sum(bool(json.loads(line[6:])["choices"][0]["text"]) for line in lines if line.startswith(b"data: {"))


DIALECT = Dialect("/v1/completions", body, is_text, count)
