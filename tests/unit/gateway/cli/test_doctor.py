"""`corral doctor` from the command line: with a gateway, without one, and without a home."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from gateway.backdoor.listening_sockets import Listening
from gateway.cli import doctor
from gateway.cli.main import main
from gateway.doctor import back_door_check
from tests.unit.engine.tiny_gguf import model_bytes
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.doctor.made_up_machine import machine_facts, wall_trial
from tests.unit.gateway.queue_views import pool_view, queue_view

OPEN = {"address": "0.0.0.0", "port": 11434, "kind": "ollama", "route": "/api/chat", "status": 400, "models": None}
KEY = {"id": "k1", "state": "active", "expires": "2027-01-01T00:00:00Z"}

WELL = {"lacks": [], "store": None}
QUEUE = to_builtins(queue_view())


def looked(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"enabled": True, "looked": True, "table_read": True, "findings": list(findings), "held": {}}


@pytest.fixture(autouse=True)
def _no_sockets_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens on the machine that runs the tests is not their business."""
    quiet = lambda home, config: back_door_check.look_now(home, config, lambda: [Listening("127.0.0.1", 11434)])  # noqa: E731
    monkeypatch.setattr(doctor, "_look_now", quiet)


@pytest.fixture(autouse=True)
def _a_machine_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine that runs the tests is, and how its kernel walls, has its own tests."""
    monkeypatch.setattr(doctor, "_machine_now", machine_facts)
    monkeypatch.setattr(doctor, "_walls_now", wall_trial)


def complaints(text: str) -> str:
    """What follows the lines about the machine."""
    machine, _, rest = text.partition("\n\n")
    assert machine.startswith("cores: 4\nmemory: 16.0 GB, 8.0 GB free\n")
    assert "\nlandlock: ABI 7" in machine
    return rest


def test_a_new_home_is_well(corral: Corral) -> None:
    status, out, err = corral.run("doctor")
    assert (status, complaints(out), err) == (0, "nothing found\n", "")
    told = corral.json("doctor")
    assert told["complaints"] == []
    assert told["machine"][0] == "cores: 4"
    assert len(told["walls"]) == 3


def test_a_model_that_does_not_fit_is_told_of(corral: Corral, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(model_bytes())
    assert corral.run("models", "import", str(tmp_path / "m.gguf"), "tiny:1")[0] == 0
    corral.home.config.write_text("engine: {memory_budget_mib: 10}\n")
    status, out, _ = corral.run("doctor")
    assert status == 1
    assert complaints(out).startswith("plan: model tiny:1 does not fit: CPU needs ")
    corral.home.config.write_text("engine: {memory_budget_mib: 200}\n")
    assert corral.run("doctor")[0] == 0


def test_what_the_running_gateway_found_is_told(corral: Corral) -> None:
    keys = {"keys": [KEY, {**KEY, "expires": None}]}
    with Gateway(corral.home, {"status": WELL, "queue": QUEUE, "back_door": looked(OPEN), "keys.list": keys}):
        status, out, err = corral.run("doctor")
        assert (status, err) == (1, "")
        lines = complaints(out).splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("keys: k1 never expire: ")
        assert lines[1].startswith("back door: ollama at 0.0.0.0 port 11434 answers without a key on /api/chat (400): ")
        status, out, _ = corral.run("doctor", "--json")
    assert status == 1
    assert [sorted(each) for each in json.loads(out)["complaints"]] == [["check", "remedy", "what", "why"]] * 2


def test_why_the_gateway_is_not_ready_is_told(corral: Corral) -> None:
    lack = {"name": "keys_stale", "what": "keys.db was not read", "remedy": "put it back"}
    status = {"lacks": [lack], "store": None}
    acts = {"status": status, "queue": QUEUE, "back_door": looked(), "keys.list": {"keys": [KEY]}}
    with Gateway(corral.home, acts):
        ended, out, _ = corral.run("doctor")
    assert ended == 1
    assert complaints(out).startswith("gateway: keys.db was not read: ")


def test_a_promise_that_no_pool_keeps_is_told(corral: Corral) -> None:
    corral.home.policy.write_text("teams: {default: {models: ['*'], first_token_s: 0.2}}\n")
    queue = to_builtins(queue_view(pools=(pool_view("m:latest"),)))
    with Gateway(corral.home, {"status": WELL, "queue": queue, "back_door": looked(), "keys.list": {"keys": [KEY]}}):
        status, out, _ = corral.run("doctor")
    assert status == 1
    assert complaints(out).startswith(
        "promise: team default is promised a first token within 0.2 s, and a prompt of 412 tokens"
    )


def test_a_look_that_takes_long_is_told_of(
    corral: Corral, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PROGRESS_AFTER_S", 0.0)
    told = threading.Event()
    monkeypatch.setattr(doctor, "_say_progress", told.set)
    monkeypatch.setattr(doctor, "_look_now", lambda _home, _config: told.wait(60) and looked())
    assert complaints(corral.run("doctor")[1]) == "nothing found\n"
    assert told.is_set()


def test_faults_of_the_files_are_told_with_their_lines(corral: Corral) -> None:
    corral.home.policy.write_text("teams: {}\nnonsense: 1\n")
    status, out, _ = corral.run("doctor")
    assert status == 1
    assert f"files: {corral.home.policy}:2: nonsense" in out
    assert "keys: " in out  # nor can the keys be listed by a policy that cannot be read


def test_without_a_home_this_host_is_looked_at(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--home", str(tmp_path / "none")]) == 0
    assert "there is no home here" in capsys.readouterr().out
