"""The admin command finds the running gateway, does without one, and never guesses."""

import asyncio
import socket
import threading

import pytest

from gateway.admin.act import ActRefused
from gateway.admin.admin_socket import AdminSocket
from gateway.cli.admin_client import call_act
from gateway.cli.main import main
from gateway.cli.output import CommandFault
from gateway.homes.home import Home, open_home
from gateway.homes.home_lock import hold_home


@pytest.fixture
def home(tmp_path, capsys) -> Home:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    return open_home(tmp_path / "home")


class Gateway:
    """An admin socket on a loop of its own, in place of a gateway."""

    def __init__(self, home: Home, answer) -> None:
        self._socket = AdminSocket(home.admin_socket, answer)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._socket.start()
        self._ready.set()
        await self._stop.wait()
        await self._socket.close()


def test_a_running_gateway_does_the_act(home):
    async def answer(act, arguments, actor):
        return {"act": act, "arguments": arguments, "big": "x" * 1_000_000}

    with Gateway(home, answer), hold_home(home, shared=True):
        result = call_act(home, "keys.list", {"team": "blue"})
    assert (result["act"], result["arguments"], len(result["big"])) == ("keys.list", {"team": "blue"}, 1_000_000)


def test_its_refusal_has_its_status(home):
    async def answer(act, arguments, actor):
        raise ActRefused("x", "no such key")

    with Gateway(home, answer), pytest.raises(CommandFault, match="no such key") as fault:
        call_act(home, "keys.list", {})
    assert fault.value.status == 2


def hang_up(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    connection.close()


def test_a_gateway_that_hangs_up_is_named(home):
    with socket.socket(socket.AF_UNIX) as dumb:
        dumb.bind(str(home.admin_socket))
        dumb.listen()
        thread = threading.Thread(target=hang_up, args=(dumb,))
        thread.start()
        with pytest.raises(CommandFault, match=r"gave no answer .*: look at 'corral status'"):
            call_act(home, "keys.list", {})
        thread.join()


def test_without_a_gateway_it_is_done_here(home):
    home.admin_socket.unlink(missing_ok=True)
    assert [team["name"] for team in call_act(home, "teams.list", {})["teams"]] == ["default"]


def test_a_dead_gateways_socket_is_no_gateway(home):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home.admin_socket))
    assert call_act(home, "teams.list", {})["teams"]


def test_what_only_a_gateway_knows_needs_one(home):
    with pytest.raises(CommandFault, match="no gateway runs for"):
        call_act(home, "status", {})


def test_a_home_that_is_held_is_a_fault(home):
    with hold_home(home, shared=True), pytest.raises(CommandFault, match="another Corral process holds"):
        call_act(home, "teams.list", {})


def test_the_faults_of_a_home_are_one_line_each(home, capsys):
    home.pepper.chmod(0o644)
    assert main(["teams", "list", "--home", str(home.path)]) == 1
    assert "chmod 400" in capsys.readouterr().err
    home.pepper.chmod(0o400)
    home.policy.write_text("teams: {default: {modles: []}}\n")
    assert main(["teams", "list", "--home", str(home.path)]) == 2
    home.policy.unlink()
    assert main(["teams", "list", "--home", str(home.path)]) == 2
    home.keys.unlink()
    home.policy.write_text("teams: {default: {}}\n")
    assert main(["teams", "list", "--home", str(home.path)]) == 1
    told = capsys.readouterr().err
    assert [line.split(":")[0] for line in told.splitlines()] == ["corral"] * 3
    assert "the key store" in told
