"""Microseconds of each numbered step of a request, with everything on.

    python -m bench.steps [--requests N]

The real app in this process: home, key store, policy, limits with their budgets on disk, the audit log with its
durable records. Only the engine is a fake that answers 16 pieces at once, and no socket stands before it: steps
(0) to (12) are what is measured, not HTTP and not a model. One request at a time, so a durable record
costs what the disk takes. Writes docs/proofs/steps.json.
"""

import argparse
import functools
import importlib
import inspect
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

import uvloop

from bench.home import make_bench_home
from bench.machine import cpu_times, machine, steal_percent
from gateway import app
from gateway.app import opened
from gateway.request import handle
from policies.call import Final, Text, Usage
from tests.fakes import FakeEngine, FakeIncoming, FakeReply

RESULT = Path(__file__).resolve().parents[1] / "docs" / "proofs" / "steps.json"
WARM_UP = 50
BODY = json.dumps(
    {"model": "m", "stream": True, "messages": [{"role": "user", "content": "What is the capital of France? " * 32}]}
).encode()
STEPS: dict[str, tuple[str, ...]] = {
    "0 edge": ("gateway.request.check_edge", "gateway.http.door.Door.require"),
    "1 client address": ("gateway.request.client_address",),
    "2 networks": ("policies.addresses.networks.Networks.require",),
    "3 guessing bound": ("gateway.identity.Identity.allowance",),
    "4 credential": ("gateway.request.read_credential",),
    "5 principal": ("gateway.identity.Identity.verify",),
    "6 request rates": ("gateway.limits.memory_store.MemoryStore.take",),
    "7 body to call": ("gateway.request.read_wish",),
    "8 authorize": ("gateway.request.authorize_scope", "gateway.gate.Gate.authorize_call"),
    "9 prepare": ("gateway.gate.Gate.prepare",),
    "10 reserve": ("gateway.limits.memory_store.MemoryStore.reserve",),
    "10 record, durable": ("gateway.request_audit.RequestAudit.authorized",),
    "11 admit": ("gateway.gate.Gate.admitted",),
    "12 stream, second record": ("gateway.request.stream",),
    "12 settle": ("gateway.limits.memory_store.MemoryStore.settle",),
}
"""Step -> what is timed for it; a part called more than once in a request is summed."""

Spent = dict[str, int]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    before = cpu_times()
    with tempfile.TemporaryDirectory(prefix="corral-") as folder:
        samples = uvloop.run(_measure(Path(folder), arguments.requests))
    report = _report(samples) | {"steal_percent": steal_percent(before, cpu_times())}
    print(_table(report))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    return 0


async def _measure(folder: Path, requests: int) -> list[Spent]:
    setting, key = make_bench_home(folder)
    engine = FakeEngine(script=[*(Text(" word") for _ in range(16)), Final("stop", Usage(300, 0, 16))])
    samples: list[Spent] = []
    with patch.object(app, "open_engines", lambda *_: (engine,)):
        async with opened(setting) as running:
            for number in range(WARM_UP + requests):
                spent: Spent = {}
                with _timed(spent):
                    await _one(running, key, spent)
                if number >= WARM_UP:
                    samples.append(spent)
    return samples


async def _one(running: Any, key: str, spent: Spent) -> None:
    headers = (("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"), ("User-Agent", "bench"))
    incoming, reply = FakeIncoming("POST", "/v1/chat/completions", headers, BODY), FakeReply()
    started_ns = time.perf_counter_ns()
    await handle(running.gate, incoming, reply)
    spent["total"] = time.perf_counter_ns() - started_ns
    if reply.status != 200:
        raise SystemExit(f"the request was answered {reply.status}: {reply.body.decode()}")


@contextmanager
def _timed(spent: Spent) -> Iterator[None]:
    with ExitStack() as stack:
        for step, places in STEPS.items():
            for place in places:
                owner, name = _find(place)
                stack.enter_context(patch.object(owner, name, _timing(getattr(owner, name), step, spent)))
        yield


def _find(place: str) -> tuple[Any, str]:
    """The module or class that holds what is timed, and its name there."""
    *modules, name = place.split(".")
    owner_name = modules.pop() if modules[-1][0].isupper() else ""
    owner = importlib.import_module(".".join(modules))
    return (getattr(owner, owner_name) if owner_name else owner), name


def _timing(timed: Callable[..., Any], step: str, spent: Spent) -> Callable[..., Any]:
    def add(started_ns: int) -> None:
        spent[step] = spent.get(step, 0) + time.perf_counter_ns() - started_ns

    if inspect.iscoroutinefunction(timed):

        @functools.wraps(timed)
        async def waited(*arguments: Any, **named: Any) -> Any:
            started_ns = time.perf_counter_ns()
            try:
                return await timed(*arguments, **named)
            finally:
                add(started_ns)

        return waited

    @functools.wraps(timed)
    def called(*arguments: Any, **named: Any) -> Any:
        started_ns = time.perf_counter_ns()
        result = timed(*arguments, **named)
        add(started_ns)
        return _Entered(result, add) if isinstance(result, AbstractAsyncContextManager) else result

    return called


class _Entered:
    """A context whose entering alone is timed."""

    def __init__(self, context: AbstractAsyncContextManager[Any], add: Callable[[int], None]) -> None:
        self._context = context
        self._add = add

    async def __aenter__(self) -> Any:
        started_ns = time.perf_counter_ns()
        entered = await self._context.__aenter__()
        self._add(started_ns)
        return entered

    async def __aexit__(self, *fault: Any) -> Any:
        return await self._context.__aexit__(*fault)


def _report(samples: list[Spent]) -> dict[str, Any]:
    rows = []
    for step in (*STEPS, "total"):
        micros = [sample.get(step, 0) / 1000 for sample in samples]
        rows.append(
            {"step": step, "p50_us": round(median(micros), 1), "p99_us": round(quantiles(micros, n=100)[98], 1)}
        )
    return {"name": "steps", "requests": len(samples), "body_bytes": len(BODY), "machine": machine(), "rows": rows}


def _table(report: dict[str, Any]) -> str:
    lines = [f"{row['step']:<26} {row['p50_us']:>9.1f} {row['p99_us']:>9.1f}" for row in report["rows"]]
    facts = report["machine"]
    head = f"{'step':<26} {'p50 us':>9} {'p99 us':>9}"
    return "\n".join([head, *lines, f"{facts['cpu']}, {facts['cores']} cores, CPU steal {report['steal_percent']} %"])


if __name__ == "__main__":
    sys.exit(main())
