"""The admin socket: one act a line, for those whom the kernel names, bounded in every direction."""

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
import uvloop

from gateway.admin import admin_socket
from gateway.admin.act import ActRefused
from gateway.admin.admin_peer import user_name
from gateway.admin.admin_socket import MAX_CONNECTIONS, MAX_REQUEST_BYTES, AdminSocket, explain
from policies.audit_record import Actor
from policies.errors import AuditUnavailable, PolicyUnavailable, Refused


class Acts:
    """Answers acts, and keeps who asked what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict, Actor]] = []
        self.arrived = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fault: BaseException | None = None

    async def answer(self, act: str, arguments: dict, actor: Actor) -> dict:
        self.asked.append((act, arguments, actor))
        self.arrived.release()
        await self.go_on.wait()
        if self.fault is not None:
            raise self.fault
        return {"did": act}

    async def asked_times(self, count: int) -> None:
        """Until that many acts more have arrived."""
        for _ in range(count):
            await self.arrived.acquire()


@pytest.fixture
def acts():
    return Acts()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture
async def listening(path, acts):
    listening = AdminSocket(path, acts.answer)
    await listening.start()
    yield listening
    acts.go_on.set()
    await listening.close()


async def ask(path: Path, line: bytes) -> dict:
    """The answer, empty when the connection was cut instead."""
    answer = b""
    reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.suppress(ConnectionError):
        writer.write(line)
        answer = await reader.readline()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return json.loads(answer) if answer else {}


def request(act: str = "keys.list", **arguments: object) -> bytes:
    return json.dumps({"act": act, "arguments": arguments}).encode() + b"\n"


async def test_an_act_is_answered_and_its_actor_is_the_kernels_word(path, acts, listening):
    assert await ask(path, request("keys.revoke", id="x")) == {"result": {"did": "keys.revoke"}}
    uid = os.geteuid()
    actor = Actor(kind="operator", id=str(uid), name=user_name(uid), method="so_peercred")
    assert acts.asked == [("keys.revoke", {"id": "x"}, actor)]


def test_it_works_on_uvloop_too(path):
    async def converse() -> dict:
        listening = AdminSocket(path, Acts().answer)
        await listening.start()
        try:
            return await ask(path, request())
        finally:
            await listening.close()

    assert uvloop.run(converse()) == {"result": {"did": "keys.list"}}


async def test_the_socket_is_open_to_owner_and_group_and_leaves_nothing_beside_it(path, listening):
    assert path.stat().st_mode & 0o777 == 0o660
    assert [entry.name for entry in path.parent.iterdir()] == ["admin.sock"]
    await listening.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (ActRefused("x", "no such key"), {"error": "no such key", "status": 2}),
        (AuditUnavailable("audit_enospc"), {"error": explain(AuditUnavailable("audit_enospc")), "status": 1}),
        (PolicyUnavailable("away"), {"error": explain(PolicyUnavailable("away")), "status": 1}),
        (RuntimeError("secret"), {"error": "a fault inside Corral; its log has the entry admin.bug", "status": 1}),
    ],
)
async def test_faults_are_told_in_one_line(path, acts, listening, fault, answer):
    acts.fault = fault
    assert await ask(path, request()) == answer


def test_each_failure_says_what_holds_now():
    assert "nothing was changed" in explain(AuditUnavailable("x"))
    assert "a revocation holds until" in explain(PolicyUnavailable("x"))
    assert explain(Refused("x")) == "refused: x"


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b'{"act": 1}\n', b'{"act": "x", "more": 1}\n', b"\xff\n"])
async def test_what_is_no_request_is_told_as_such(path, acts, listening, line):
    answer = await ask(path, line)
    assert answer["status"] == 2
    assert answer["error"].startswith("not a request: ")
    assert acts.asked == []


async def test_a_line_beyond_the_bound_is_cut_off(path, acts, listening):
    assert await ask(path, b"x" * (2 * MAX_REQUEST_BYTES + 2)) == {}
    assert acts.asked == []


async def test_a_silent_peer_is_cut_off(path, acts, listening, monkeypatch):
    monkeypatch.setattr(admin_socket, "READ_TIMEOUT_S", 0.01)
    assert await ask(path, b'{"act":') == {}
    assert acts.asked == []


async def test_more_peers_than_allowed_are_cut_off_and_the_others_served(path, acts, listening):
    acts.go_on.clear()
    waiting = [asyncio.create_task(ask(path, request())) for _ in range(MAX_CONNECTIONS)]
    await acts.asked_times(MAX_CONNECTIONS)
    assert await ask(path, request()) == {}
    acts.go_on.set()
    assert await asyncio.gather(*waiting) == [{"result": {"did": "keys.list"}}] * MAX_CONNECTIONS


async def test_closing_lets_the_act_under_way_finish(path, acts, listening):
    acts.go_on.clear()
    asking = asyncio.create_task(ask(path, request()))
    await acts.asked_times(1)
    closing = asyncio.create_task(listening.close())
    await asyncio.sleep(0)
    assert not closing.done()
    acts.go_on.set()
    await closing
    assert await asking == {"result": {"did": "keys.list"}}


async def test_nobody_is_heard_after_it_closed(path, acts):
    """The loop brings a connection some passes after it took it; by then `close` may have waited for all it knew."""
    listening = AdminSocket(path, acts.answer)
    await listening.start()
    await listening.close()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        theirs.sendall(request())
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        listening._accepted(reader, writer)
        theirs.settimeout(30)
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(theirs.recv, 1)
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert acts.asked == []


async def test_a_peer_that_left_does_not_stop_its_act(path, acts, listening):
    acts.go_on.clear()
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(request())
    await acts.asked_times(1)
    writer.close()
    await writer.wait_closed()
    acts.go_on.set()
    assert await ask(path, request()) == {"result": {"did": "keys.list"}}


async def test_strangers_are_refused_even_if_the_file_let_them_in(path, acts, listening, monkeypatch):
    monkeypatch.setattr(admin_socket, "may_administer", lambda *_: False)
    assert (await ask(path, request()))["error"].startswith("not allowed: ")
    assert acts.asked == []


async def test_a_successor_takes_the_path_over_and_keeps_it(path, acts, listening):
    successor = AdminSocket(path, acts.answer)
    await successor.start()
    await listening.close()
    assert await ask(path, request()) == {"result": {"did": "keys.list"}}
    await successor.close()
    assert not path.exists()


async def test_a_dead_gateways_socket_is_replaced(path, acts):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    path.with_name(f"admin.sock.{os.getpid()}").write_text("left by a crash")
    listening = AdminSocket(path, acts.answer)
    await listening.start()
    assert await ask(path, request()) == {"result": {"did": "keys.list"}}
    await listening.close()


async def test_an_admin_group_may_pass_through_and_no_more(tmp_path, acts):
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True, mode=0o700)
    listening = AdminSocket(run / "admin.sock", acts.answer, admin_gid=os.getgid())
    await listening.start()
    assert [folder.stat().st_mode & 0o777 for folder in (run, run.parent)] == [0o710, 0o710]
    assert (run / "admin.sock").stat().st_gid == os.getgid()
    await listening.close()


async def test_a_folder_that_is_not_there_is_told(tmp_path, acts):
    with pytest.raises(FileNotFoundError):
        await AdminSocket(tmp_path / "none" / "admin.sock", acts.answer).start()
