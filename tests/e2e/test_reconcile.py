"""The records against what workers and upstreams counted, with real processes, and with those who go past the gate."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from engine.frames import PROTOCOL_VERSION, Ended, FrameReader, Hello, Start, Step, WorkerAnswer, WorkerHello, encode
from engine.links.call_frames import pack_ids
from policies.call import Sampling
from tests.e2e.serving import MODEL, Corral, end, serving, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EVERY_SECOND = {"audit": {"count_every_s": 1.0}}


def chat(corral: Corral, words: str = "Hi", tokens: int = 4, **more: Any) -> tuple[int, bytes]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": words}], "options": {"num_predict": tokens}}
    return corral.request("POST", "/api/chat", {**body, "stream": False, **more})


def leave_early(corral: Corral) -> None:
    """Begin a long answer and go after its first bytes."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Count."}], "options": {"num_predict": 400}}
    with closing(corral.connect()) as connection:
        connection.request("POST", "/api/chat", json.dumps(body), {"Authorization": f"Bearer {corral.key}"})
        with connection.getresponse() as response:
            response.read(16)


def counts(corral: Corral) -> int:
    return sum(record["event"] == "worker.counted" for record in corral.records())


def counted(corral: Corral) -> None:
    """Wait until everybody was counted after now: a count under way may be older."""
    before = counts(corral)
    assert until(lambda: counts(corral) >= before + 4)


def reconcile(corral: Corral) -> dict[str, Any]:
    done = corral.command("audit", "reconcile", "--json", check=False)
    found = dict(json.loads(done.stdout))
    assert done.returncode == found["status"] == (1 if found["differences"] else 0), done.stderr
    return found


def worker_socket(corral: Corral) -> Path:
    plan = json.loads((corral.home / "run" / "plan.json").read_text())
    return Path(next(each["socket"] for each in plan["processes"] if each["role"] == "chat"))


def put_in(path: Path, name: str) -> None:
    """A call straight into the worker's socket, until its answer is whole."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        stream.connect(str(path))
        start = Start(
            id=1,
            token_ids=(pack_ids((1, 2, 3, 4)),),
            sampling=Sampling(seed=1),
            max_output_tokens=5,
            cache_scope="team:thief",
        )
        stream.sendall(encode(Hello(version=PROTOCOL_VERSION, name=name)) + encode(start))
        reader = FrameReader(WorkerAnswer)
        while data := stream.recv(1 << 16):
            for frame in reader.feed(data):
                if isinstance(frame, Step):
                    for ended in frame.ended:
                        assert isinstance(ended, Ended)
                        assert ended.reason
                        return
                assert isinstance(frame, WorkerHello | Step)
    raise AssertionError("the worker closed the connection")


def test_a_call_put_straight_into_a_workers_socket_is_found(tmp_path: Path, model_file: Path) -> None:
    with serving(tmp_path / "one", model_file, **EVERY_SECOND) as corral:
        assert chat(corral)[0] == 200
        counted(corral)
        assert reconcile(corral)["differences"] == []
        put_in(worker_socket(corral), "")
        counted(corral)
        (nobody,) = reconcile(corral)["differences"]
        assert (nobody["kind"], nobody["count"], nobody["who"]) == ("nobody", 1, "")
        process = next(
            record["details"]["process"] for record in corral.records() if record["event"] == "gateway.started"
        )
        put_in(worker_socket(corral), process)
        counted(corral)
        found = [each for each in reconcile(corral)["differences"] if each["who"] == process]
        assert [(each["kind"], each["count"]) for each in found] == [("requests", 1)]
    assert len(reconcile(corral)["differences"]) == 2  # what was found stays, and is told once


def test_a_call_past_the_gate_to_a_second_corral_is_found(tmp_path: Path, model_file: Path) -> None:
    with serving(tmp_path / "behind", model_file) as behind:
        key = behind.new_key("--scope", "inference", "--scope", "models", "--scope", "metrics")["key"]
        upstream = {
            "name": "second",
            "kind": "ollama",
            "url": behind.url,
            "ca_file": str(behind.ca),
            "api_key_file": "upstream-key",
            "counts": "corral",
            "refresh_s": 1.0,
        }
        (tmp_path / "front").mkdir()
        front = Corral(tmp_path / "front", upstreams=[upstream], **EVERY_SECOND).make(None)
        (front.home / "upstream-key").write_text(key)
        (front.home / "upstream-key").chmod(0o600)
        front.start()
        try:
            assert until(lambda: counts(front) > 0)
            for _ in range(3):
                assert chat(front)[0] == 200
            leave_early(front)
            counted(front)
            assert reconcile(front)["differences"] == []
            assert chat(behind)[0] == 200
            counted(front)
            (past,) = reconcile(front)["differences"]
            assert (past["kind"], past["target"], past["count"]) == ("upstream", "upstream:second", 1)
        finally:
            assert front.stop() == 0


def test_a_busy_run_with_cancels_and_a_killed_gateway_is_what_really_happened(tmp_path: Path, model_file: Path) -> None:
    with serving(tmp_path / "one", model_file, **EVERY_SECOND) as corral:
        answered: list[int] = []

        def ask(number: int) -> None:
            try:
                if number % 3 == 1:
                    leave_early(corral)
                elif number % 3 == 2:
                    body = {"model": MODEL, "input": ["one", "two"]}
                    corral.request("POST", "/api/embed", body)
                else:
                    answered.append(chat(corral, f"Say {number}.", 8)[0])
            except (OSError, HTTPException):
                pass  # its gateway was killed

        def busy(first: int, last: int) -> list[threading.Thread]:
            threads = [threading.Thread(target=ask, args=(number,)) for number in range(first, last)]
            for thread in threads:
                thread.start()
            return threads

        for thread in busy(0, 24):
            thread.join(60)
        counted(corral)
        assert reconcile(corral)["differences"] == []
        running = busy(24, 48)
        open_ids = lambda: without_end(corral.records())  # noqa: E731
        assert until(lambda: len(open_ids()) >= 3)
        (gateway,) = corral.children("gateway.process")
        end(gateway)
        for thread in running:
            thread.join(60)
        lost = open_ids()  # and what a new gateway has begun by now, whose client left
        assert until(lambda: corral.ready() and corral.children("gateway.process") != [gateway])
        assert chat(corral)[0] == 200
        counted(corral)
        found = reconcile(corral)["differences"]
        assert {each["kind"] for each in found} == {"without_end"}
        assert {each["request_id"] for each in found} == without_end(corral.records())
        assert {each["request_id"] for each in found} & lost
    closing = reconcile(corral)
    assert {each["kind"] for each in closing["differences"]} == {"without_end"}
    assert 200 in answered
    assert closing["running"] == 0


def without_end(lines: Iterable[dict[str, Any]]) -> set[str]:
    """Authorised requests that have no end, by the records alone."""
    authorized: set[str] = set()
    for record in lines:
        if record["stage"] == "authorized":
            authorized.add(record["req_id"])
        else:
            authorized.discard(record.get("req_id", ""))
    return authorized


def test_a_stopped_gateway_leaves_nothing_open(tmp_path: Path, model_file: Path) -> None:
    with serving(tmp_path / "one", model_file, **EVERY_SECOND) as corral:
        leave_early(corral)
        for worker in corral.children("engine.worker"):
            os.kill(worker, signal.SIGTERM)
        assert until(lambda: any(each["event"] == "target.lost" for each in corral.records()))
    found = reconcile(corral)
    assert found["differences"] == []
    assert found["last_count"]
