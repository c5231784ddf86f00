"""A thousand changed model files and a thousand hostile requests: `make prove P=hostile`.

Files: each is opened by a real worker behind its walls. It is refused with one line, or served, or the worker dies, and
which of it is counted; none is stuck, none fails in a way that has no name, none has more memory than its cap allows.
Then some of those that the store takes and a sound model are served by one gateway: whatever the others do, the sound
one answers, and the gateway says 200, or 503 for a model that cannot be loaded.

Requests: any value in any field of six routes, to that gateway: never a status of 500, and no process ends.
"""

import http.client
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, seed, settings
from msgspec import Struct

from bench.engine.gateway_way import POLICY
from bench.hostile.mutants import base_models, mutants
from bench.hostile.requests import requests
from bench.hostile.trial import MEMORY_CAP_BYTES, Outcome, trial
from tests.e2e.serving import Corral

SEED = 20
SOUND = "qwen3"
MOST_IMPORTED = 6
ENGINE = {"slots": 2, "context_tokens": 512, "batch_tokens": 64, "prepare_timeout_s": 30.0}
ALLOWED = frozenset({200, 400, 404, 405, 413, 415, 422, 429, 503})
PROGRESS_EVERY = 100


class Size(Struct, frozen=True, kw_only=True):
    """How many files, and how many requests; another seed draws others."""

    files: int
    requests: int
    seed: int = SEED


FULL, SMALL = Size(files=1000, requests=1000), Size(files=40, requests=100)


def prove(size: Size = FULL) -> dict[str, object]:
    """Run it. Raises AssertionError for an end that has no name, a status that may not be, or a lost process."""
    with tempfile.TemporaryDirectory(prefix="corral-") as name:
        folder = Path(name)
        bases = base_models(folder)
        outcomes, taken = _files(bases, folder, size)
        with _gateway(folder, bases, taken) as corral:
            imported = _others(corral, len(taken))
            statuses = _requests(corral, size)
    return {
        "files": size.files,
        "outcomes": dict(sorted(Counter(outcome.kind for _, outcome in outcomes).items())),
        "outcomes_by_change": _by_change(outcomes),
        "deaths": dict(Counter(outcome.cause for _, outcome in outcomes if outcome.kind == "died")),
        "peak_mib": max(outcome.peak_bytes for _, outcome in outcomes) // 2**20,
        "cap_mib": MEMORY_CAP_BYTES // 2**20,
        "imported_and_asked": imported,
        "requests": sum(statuses.values()),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }


def _files(bases: list[Path], folder: Path, size: Size) -> tuple[list[tuple[str, Outcome]], list[Path]]:
    """What became of each, and the first that looked sound to the store but are not."""
    outcomes, taken = [], []
    for number, (kind, data) in enumerate(mutants(bases, size.files, size.seed), 1):
        path = folder / "changed.gguf"
        path.write_bytes(data)
        outcome = trial(path, folder)
        assert outcome.kind not in ("stuck", "failed"), f"file {number} ({kind}): {outcome}"
        assert (outcome.kind == "served") == outcome.answered, f"file {number} ({kind}): {outcome}"
        assert outcome.kind != "refused" or outcome.said.startswith("worker: cannot load"), outcome
        assert outcome.peak_bytes <= MEMORY_CAP_BYTES + len(data), f"file {number} ({kind}): {outcome}"
        if kind == "weights" and outcome.kind != "served" and len(taken) < MOST_IMPORTED:
            taken.append(path.rename(folder / f"taken-{len(taken)}.gguf"))
        outcomes.append((kind, outcome))
        if number % PROGRESS_EVERY == 0:
            print(f"{number} files: {dict(Counter(each.kind for _, each in outcomes))}", flush=True)
    return outcomes, taken


def _by_change(outcomes: list[tuple[str, Outcome]]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for kind, outcome in outcomes:
        found.setdefault(kind, Counter())[outcome.kind] += 1
    return {kind: dict(counts) for kind, counts in sorted(found.items())}


@contextmanager
def _gateway(folder: Path, bases: list[Path], taken: list[Path]) -> Iterator[Corral]:
    """One Corral with the sound models, and those that were `taken`; it is ready when a sound one is."""
    corral = Corral(folder, engine=ENGINE)
    corral.make(None)
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    for path in (*(each for each in bases if each.stem == SOUND), *taken):
        corral.command("models", "import", str(path), path.stem)
    corral.start()
    try:
        yield corral
    finally:
        assert corral.stop() == 0, corral.log()


def _others(corral: Corral, count: int) -> dict[str, int]:
    """Ask each of the models that cannot be loaded, and the sound one beside them."""
    found: Counter[str] = Counter()
    for number in range(count):
        status, _ = _ask(corral, "/api/chat", _question(f"taken-{number}"))
        assert status in ALLOWED - {400}, f"taken-{number}: {status}"
        found[str(status)] += 1
        status, answer = _ask(corral, "/api/chat", _question(SOUND))
        assert status == 200, answer
    return dict(found)


def _question(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": False}


def _requests(corral: Corral, size: Size) -> Counter[int]:
    statuses: Counter[int] = Counter()
    before = sorted(corral.children(f"--model {SOUND}"))

    @seed(size.seed)
    @settings(max_examples=size.requests, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests((SOUND,)))
    def send(request: tuple[str, dict[str, Any]]) -> None:
        status, answer = _ask(corral, *request)
        statuses[status] += 1
        assert status in ALLOWED, f"{status} {answer!r} for {request!r}"

    send()
    assert sorted(corral.children(f"--model {SOUND}")) == before, f"a process ended:\n{corral.log()}"
    status, answer = _ask(corral, "/api/chat", _question(SOUND))
    assert status == 200, answer
    return statuses


def _ask(corral: Corral, route: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """One exchange, on a connection of its own: a fault in one must not hide in the next."""
    connection: http.client.HTTPSConnection = corral.connect()
    try:
        data = json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {corral.key}", "Content-Type": "application/json"}
        connection.request("POST", route, data, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
