"""`corral serve` with everything on, as a client sees it: TLS, a key, limits, the queue, the log; NDJSON.

The worker has the compute core, everything else of Corral and the client share the rest.
"""

import json
from typing import Any

import yaml

from bench.engine.http_streams import Dialect, HttpStreams
from bench.engine.served_way import ServedWay
from bench.engine.server_process import pin_threads
from bench.engine.way import BATCH_TOKENS
from bench.engine.workload import SCHEMA, Load, Prompt, request_options
from tests.e2e.serving import MODEL, Corral

GENEROUS = 10**9
POLICY = {
    "networks": {"allow": ["127.0.0.0/8"]},
    "address_limits": {"requests_per_minute": GENEROUS},
    "teams": {
        "default": {
            "models": ["*"],
            "limits": {"requests_per_minute": GENEROUS, "output_tokens_per_minute": GENEROUS},
            "key_limits": {"requests_per_minute": GENEROUS, "concurrent_requests": 1000},
        }
    },
}
"""Every limit is counted and none in the way."""


class Gateway(ServedWay):
    """A home, its `corral serve`, and one client process."""

    name = "gateway, everything on"

    def _begin(self) -> HttpStreams:
        folder = self.setting.folder / "gateway"
        folder.mkdir()
        engine = {
            "slots": self.setting.slots,
            "context_tokens": self.setting.context_tokens,
            "batch_tokens": BATCH_TOKENS,
            "threads": self.setting.threads,
            "embeddings": False,
        }
        corral = self._corral = Corral(folder, engine=engine).make(self.setting.model_file)
        (corral.home / "policy.yaml").write_text(yaml.safe_dump(POLICY))
        corral.start()
        self._stack.callback(corral.stop)
        self._pin(corral)
        return HttpStreams(corral.url, DIALECT, key=corral.key, tls=corral.tls())

    def pids(self) -> list[int]:
        assert self._corral.process is not None
        return [self._corral.process.pid, *self._corral.children("")]

    def _pin(self, corral: Corral) -> None:
        assert corral.process is not None
        for pid in (corral.process.pid, *corral.children("gateway."), *corral.children("engine.preparer")):
            pin_threads(pid, self.setting.other_cores)
        for pid in corral.children("engine.worker"):
            pin_threads(pid, self.setting.compute_cores)


def body(load: Load, prompt: Prompt) -> dict[str, Any]:
    """`/api/generate` without a template."""
    options = request_options(load, prompt.seed)
    made: dict[str, Any] = {"model": MODEL, "prompt": prompt.text, "raw": True, "options": options}
    return made | ({"format": SCHEMA} if load.schema else {})


def is_text(line: bytes) -> bool:
    """Each line but the last brings text."""
    return b'"done":false' in line


def count(lines: list[bytes]) -> int:
    """What the last line says was generated."""
    return int(json.loads(lines[-1])["eval_count"])


DIALECT = Dialect("/api/generate", body, is_text, count)
