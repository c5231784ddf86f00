"""What a look gives to complain of, and a look made without a gateway."""

import socket
from typing import Any

import pytest

from gateway.backdoor.listening_sockets import Listening
from gateway.configuration.settings import Config, ListenSettings, UpstreamSettings
from gateway.doctor.back_door_check import back_door_complaints, look_now

FINE: dict[str, Any] = {"enabled": True, "looked": True, "table_read": True, "findings": [], "held": {}}


def told(**changes: Any) -> list[str]:
    return [each.what for each in back_door_complaints({**FINE, **changes})]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, []),
        ({"enabled": False, "looked": False}, ["nobody looks"]),
        ({"looked": False}, ["the first look is not over"]),
        ({"table_read": False}, ["/proc/net/tcp cannot be read"]),
        ({"held": {"far": "upstream_unchecked", "near": "upstream_open"}}, ["upstream far did not answer"]),
    ],
)
def test_what_was_not_looked_at_is_told(changes: dict[str, Any], what: list[str]) -> None:
    assert told(**changes) == what


def test_the_routes_of_one_server_are_one_line() -> None:
    one = {"address": "10.0.0.9", "port": 11434, "kind": "ollama", "route": "/api/chat", "status": 400, "models": None}
    tags = {**one, "route": "/api/tags", "status": 200, "models": 3}
    assert told(findings=[one, tags, {**one, "address": "::"}]) == [
        "ollama at 10.0.0.9 port 11434 answers without a key on /api/chat (400), /api/tags (200, 3 models)",
        "ollama at :: port 11434 answers without a key on /api/chat (400)",
    ]


def test_many_routes_of_one_server_are_counted() -> None:
    one = {"address": "::", "port": 8000, "kind": "vllm", "status": 400, "models": None}
    findings = [{**one, "route": f"/v1/{number}"} for number in range(5)]
    assert told(findings=findings) == [
        "vllm at :: port 8000 answers without a key on /v1/0 (400), /v1/1 (400), /v1/2 (400) and 2 more"
    ]


def test_a_look_made_here_writes_no_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    def unread() -> list[Listening]:
        raise OSError

    assert not look_now(None, None, unread)["table_read"]
    assert capsys.readouterr() == ("", "")


def test_a_look_made_here_leaves_our_own_listeners_alone() -> None:
    config = Config(public=ListenSettings(address="0.0.0.0", port=8080))
    shown = look_now(None, config, lambda: [Listening("0.0.0.0", 8080)])
    assert (shown["findings"], shown["held"], shown["looked"]) == ([], {}, True)


def test_a_look_made_here_says_what_did_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    near = UpstreamSettings(name="near", kind="ollama", url=f"http://127.0.0.1:{port}")
    shown = look_now(None, Config(upstreams=(near,)), lambda: [Listening("0.0.0.0", port)])
    assert shown["held"] == {"near": "upstream_unchecked"}


def test_a_look_that_is_not_complete_is_told_of() -> None:
    shown = {"enabled": True, "looked": True, "table_read": True, "findings": [], "held": {}, "complete": False}
    assert [each.what for each in back_door_complaints(shown)] == ["not all could be asked in time"]
