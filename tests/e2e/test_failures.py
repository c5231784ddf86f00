"""What breaks, and who notices: workers and gateways killed, clients gone, a drain, a full run's log."""

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.canaries import places_of
from tests.e2e.serving import MODEL, STOP_WITHIN_S, Corral, end, serving, until

pytestmark = pytest.mark.e2e
LONG = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Write a very long story about a lighthouse."}],
    "options": {"temperature": 0, "num_predict": 900},
}
SHORT = {"model": MODEL, "prompt": "The capital of France is", "raw": True, "stream": False}
QUICK = {**SHORT, "options": {"temperature": 0, "num_predict": 6}}
WORKER = "--role chat"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Corral]:
    engine = {"slots": 4, "context_tokens": 1024, "embeddings": False, "prepare_timeout_s": 30.0}
    gateway = {"drain_notice_s": 2.0, "drain_s": 50.0}
    with serving(tmp_path_factory.mktemp("failures"), model_file, engine=engine, gateway=gateway) as corral:
        yield corral


@pytest.fixture
def corral(served: Corral) -> Corral:
    """Started again where a test before has stopped it."""
    return served if served.process is not None else served.start()


class Stream:
    """One long answer being read, line by line."""

    def __init__(self, corral: Corral, path: str = "/api/chat", body: dict[str, Any] | None = None) -> None:
        self.connection = corral.connect()
        headers = {"Authorization": f"Bearer {corral.key}"}
        self.connection.request("POST", path, json.dumps(body or LONG), headers)
        self.response: HTTPResponse = self.connection.getresponse()

    def line(self) -> bytes:
        return self.response.readline()

    def rest(self) -> list[bytes]:
        lines = [line for line in self.response.read().splitlines() if line]
        self.close()
        return lines

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def answers(corral: Corral) -> bool:
    status, body = corral.request("POST", "/api/generate", QUICK)
    return status == 200 and "Paris" in json.loads(body)["response"]


def test_a_killed_worker_ends_its_streams_and_comes_back(corral: Corral) -> None:
    ollama, sse = Stream(corral), Stream(corral, "/v1/chat/completions", {**LONG, "max_tokens": 900, "stream": True})
    assert b"content" in ollama.line()
    assert sse.line().startswith(b"data: ")
    [worker] = corral.children(WORKER)
    end(worker)
    assert "error" in json.loads(ollama.rest()[-1])
    last = [line for line in sse.rest() if line.startswith(b"data: ")][-1]
    assert "error" in json.loads(last.removeprefix(b"data: "))
    assert answers(corral), "the next request waits for the restarted worker"
    assert corral.children(WORKER) != [worker]


def test_a_preparer_that_is_stopped_is_replaced_and_the_requests_before_it_are_answered(corral: Corral) -> None:
    [preparer] = corral.children("engine.preparer")
    os.kill(preparer, signal.SIGSTOP)
    with ThreadPoolExecutor(3) as callers:
        assert list(callers.map(answers, [corral] * 3)) == [True] * 3
    assert preparer not in corral.children("engine.preparer")


def test_a_killed_gateway_leaves_the_model_loaded(corral: Corral) -> None:
    [worker], [gateway] = corral.children(WORKER), corral.children("gateway.process")
    end(gateway)
    assert until(corral.ready)
    assert answers(corral)
    assert corral.children(WORKER) == [worker]
    assert corral.children("gateway.process") != [gateway]


def test_a_replaced_gateway_refuses_nobody(corral: Corral) -> None:
    assert corral.process is not None
    [before], [worker] = corral.children("gateway.process"), corral.children(WORKER)
    corral.process.send_signal(signal.SIGHUP)
    over_s = time.monotonic() + STOP_WITHIN_S
    while before in corral.children("gateway.process"):
        assert corral.request("GET", "/health/live", key="")[0] == 200
        assert time.monotonic() < over_s
    assert answers(corral)
    assert corral.children(WORKER) == [worker]


def test_a_closed_socket_frees_the_slot(corral: Corral) -> None:
    target = "pool:worker-0"
    assert until(lambda: corral.counters()[target]["busy_slots"] == 0)
    streams = [Stream(corral) for _ in range(4)]
    for stream in streams:
        assert b"content" in stream.line()
    assert corral.counters()[target]["busy_slots"] == 4
    cancelled = corral.counters()[target]["cancelled"]
    streams[0].close()
    assert until(lambda: corral.counters()[target]["cancelled"] == cancelled + 1)
    assert corral.counters()[target]["busy_slots"] == 3
    for stream in streams:
        stream.close()
    assert until(lambda: corral.counters()[target]["busy_slots"] == 0)
    assert until(lambda: corral.status()["running"] == 0)


def test_a_closed_socket_frees_the_slot_before_the_next_step_but_one(corral: Corral) -> None:
    """One answer alone, so every step makes one token: at most two are made after the last one read.

    A slot that waits for anything else is late each time; where only this test waits for a processor, another attempt
    tells.
    """
    target = "pool:worker-0"
    late = []
    for attempt in range(20):
        before = corral.counters()[target]["output_tokens"]
        stream = Stream(corral, body={**LONG, "messages": [{"role": "user", "content": f"Tell tale {attempt}."}]})
        for _ in range(6):
            assert b"content" in stream.line()
        stream.close()
        assert until(lambda: corral.counters()[target]["busy_slots"] == 0)
        late.append(corral.counters()[target]["output_tokens"] - before - 6)
        if late[-1] <= 2:
            return
    pytest.fail(f"tokens made after the last one read: {late}")


def test_a_revoked_key_is_cut_off_while_it_streams(corral: Corral) -> None:
    made = corral.new_key()
    first, corral.key = corral.key, made["key"]
    try:
        stream = Stream(corral)
        assert b"content" in stream.line()
        corral.command("keys", "revoke", made["id"], "--reason", "test")
        assert "error" in json.loads(stream.rest()[-1])
        assert corral.request("GET", "/api/tags")[0] == 401
    finally:
        corral.key = first


def test_the_first_keys_file_is_gone_after_its_first_use(corral: Corral) -> None:
    assert corral.request("GET", "/api/tags")[0] == 200
    assert not (corral.home / "first-key").exists()


def test_a_log_that_cannot_be_written_stops_the_service_and_its_return_resumes_it(corral: Corral) -> None:
    """RLIMIT_FSIZE on the running gateway is a disk that is full for its log and for nothing else.

    It is below the size of any record: the log goes on in a new segment, which would else take one or two, and the
    attempt to resume that is made each second would bring readiness back.
    """
    [gateway] = corral.children("gateway.process")
    limits = resource.prlimit(gateway, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway, resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        for path, body in (("/api/generate", QUICK), ("/v1/chat/completions", {**LONG, "max_tokens": 4})):
            status, told = corral.request("POST", path, body)
            assert status == 503
            assert b"service unavailable" in told
        pause = time.monotonic() + 2.5  # longer than two attempts to resume
        while time.monotonic() < pause:
            assert not corral.ready()
    finally:
        resource.prlimit(gateway, resource.RLIMIT_FSIZE, limits)
    assert until(corral.ready), "without a request that brings it back"
    assert answers(corral)
    assert corral.command("audit", "verify").returncode == 0
    assert corral.children("gateway.process") == [gateway]


def test_no_key_prompt_or_header_is_in_any_log(corral: Corral) -> None:
    canary = "CANARYa71c"
    body = {"model": MODEL, "messages": [{"role": "user", "content": canary}], "options": {"num_predict": 4}}
    assert corral.request("POST", "/api/chat", body)[0] == 200
    assert corral.request("POST", "/api/chat", {**body, "model": "no"})[0] == 404
    assert corral.request("POST", "/api/chat", {**body, "messages": canary})[0] == 400
    assert corral.request("POST", "/api/chat", body, key=canary)[0] == 401
    secret = corral.key.split("_")[2]
    for text in (canary, secret):
        assert places_of(text, corral.home.parent) == []


def test_sigterm_drains(corral: Corral) -> None:
    stream = Stream(corral, body={**LONG, "options": {"temperature": 0, "num_predict": 120}})
    assert b"content" in stream.line()
    assert corral.process is not None
    corral.process.send_signal(signal.SIGTERM)
    status = lambda: corral.request("GET", "/health/ready", key="")[0]  # noqa: E731
    assert until(lambda: status() == 503), "readiness falls before the door closes"
    assert json.loads(stream.rest()[-1])["done"] is True
    assert corral.process.wait(STOP_WITHIN_S) == 0
    corral.process = None
    assert corral.records()[-1]["event"] == "gateway.stopped"


def test_the_log_of_the_whole_run_verifies_until_a_byte_is_changed(served: Corral) -> None:
    served.stop()
    whole = served.command("audit", "verify")
    assert whole.returncode == 0, whole.stdout
    segment = max((served.home / "audit").glob("*/*.jsonl"))
    content = segment.read_bytes()
    lines = content.splitlines(keepends=True)
    for number, share in ((0, 0.1), (len(lines) // 2, 0.5), (len(lines) - 1, 0.9)):
        offset = sum(map(len, lines[:number])) + int(share * len(lines[number]))
        segment.chmod(0o600)
        segment.write_bytes(content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :])
        tampered = served.command("audit", "verify", check=False)
        assert tampered.returncode == 1, (number, offset, tampered.stdout, tampered.stderr)
        assert f"{segment.name} line {number + 1}" in tampered.stdout + tampered.stderr
    segment.write_bytes(b"".join(lines[:-1]))
    assert served.command("audit", "verify", check=False).returncode == 1
    segment.write_bytes(content)
    assert served.command("audit", "verify").returncode == 0
