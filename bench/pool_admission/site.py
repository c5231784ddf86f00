"""A real Corral for each queue: home, keys, policy; its worker on one core, all other processes on another."""

import contextlib
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.pool_admission.faster_model import requantised
from bench.pool_admission.gateway_process import QUEUE_FILE, TAPE_FILE
from tests.e2e.serving import Corral, _command_line, _descendants

SLOTS = 4
ENGINE = {"slots": SLOTS, "context_tokens": 1024, "batch_tokens": 64, "embeddings": False, "threads": 1}
"""One thread; steps of at most 64 rows, so that no prompt holds up the others' tokens for over a fifth of a second."""
GATEWAY_CORE, WORKER_CORE = 0, 1
QUEUES = {"fifo": "fifo", "corral": "corral"}
"""What each is called, and what `gateway_process.make_queue` is to make."""
UNBOUNDED = {"requests_per_minute": None, "concurrent_requests": None}
MAX_WAIT_S = 120.0
MANY_CONNECTIONS = 4096
POLICY_WITHIN_S = 3.0
"""The gateway looks at its policy file about once a second."""


@dataclass(frozen=True, slots=True)
class Promises:
    """Seconds to first token by team, and whether the band of the third team lends its slots."""

    first_token_s: Mapping[str, float | None]
    lends: bool = True

    def policy(self) -> dict[str, Any]:
        """The whole of policy.yaml: every team unbounded but for the queue, which is what is measured."""
        bands = {"interactive": {"share": 0.3, "lends": self.lends}, "standard": {"share": 0.3}}
        teams = {
            team: {
                "models": ["*"],
                "band": "interactive" if team == "prompt" else "standard",
                "first_token_s": promise_s,
                "max_queued": 512,
                "max_wait_s": MAX_WAIT_S,
                "key_limits": UNBOUNDED,
            }
            for team, promise_s in self.first_token_s.items()
        }
        return {
            "networks": {"allow": ["127.0.0.0/8"]},
            "address_limits": {"requests_per_minute": None},
            "bands": bands,
            "teams": teams,
        }


class Pool:
    """One running Corral. `name` is its queue's."""

    def __init__(self, name: str, corral: Corral) -> None:
        self.name = name
        self.url = corral.url
        self.keys: dict[str, str] = {}
        self.tls: ssl.SSLContext = corral.tls()
        self._corral = corral
        self._tape_read = 0
        self._pids = {
            "gateway": corral.children("bench.pool_admission.gateway_process"),
            "worker": corral.children("engine.worker"),
        }

    def promise(self, promises: Promises) -> None:
        """Swap the policy, and wait until the gateway has taken it."""
        (self._corral.home / "policy.yaml").write_text(yaml.safe_dump(promises.policy()))
        time.sleep(POLICY_WITHIN_S)

    def add_keys(self, teams: list[str]) -> None:
        """A key for each team."""
        for team in teams:
            made = self._corral.command("keys", "create", "--team", team, "--json").stdout
            self.keys[team] = json.loads(made)["key"]

    def pin(self) -> None:
        """Its worker's threads to one core, all others of its processes to the other."""
        assert self._corral.process is not None
        for pid in (self._corral.process.pid, *_descendants(self._corral.process.pid)):
            core = WORKER_CORE if "engine.worker" in _command_line(pid) else GATEWAY_CORE
            with contextlib.suppress(FileNotFoundError):  # a child that lived for a moment
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(int(thread.name), {core})

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds that gateway and worker took since they started."""
        return {part: sum(map(_cpu_s, pids)) for part, pids in self._pids.items()}

    def tape(self) -> list[dict[str, Any]]:
        """What the queue decided since the last look. The gateway writes it out four times a second."""
        time.sleep(0.5)
        with (self._corral.home / TAPE_FILE).open() as tape:
            tape.seek(self._tape_read)
            text = tape.read()
        whole = text[: text.rfind("\n") + 1]
        self._tape_read += len(whole.encode())
        return [json.loads(line) for line in whole.splitlines()]


class _BenchCorral(Corral):
    """Started by `bench.pool_admission.serve` instead of `corral serve`."""

    serve = ("bench.pool_admission.serve",)

    def __init__(self, folder: Path, **config: Any) -> None:
        super().__init__(folder, **config)
        # All callers have one address, and whoever waits in a queue without a bound holds a connection.
        self._config["public"]["max_connections_per_address"] = MANY_CONNECTIONS


@contextlib.contextmanager
def pools(
    model_file: Path, folder: Path, promises: Promises, queues: Mapping[str, str] = QUEUES
) -> Iterator[dict[str, Pool]]:
    """One Corral for each of `queues`, all running; only one of them has work at a time."""
    fast = requantised(model_file, folder)
    with contextlib.ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {GATEWAY_CORE})  # this process is the client
        yield {
            name: stack.enter_context(_serving(name, queue, fast, folder / name, promises))
            for name, queue in queues.items()
        }


@contextlib.contextmanager
def _serving(name: str, queue: str, model_file: Path, folder: Path, promises: Promises) -> Iterator[Pool]:
    folder.mkdir()
    corral = _BenchCorral(folder, engine=ENGINE).make(model_file)
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(promises.policy()))
    (corral.home / QUEUE_FILE).write_text(queue)
    corral.start()
    try:
        pool = Pool(name, corral)
        pool.pin()
        pool.add_keys(list(promises.first_token_s))
        yield pool
    finally:
        corral.stop()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
