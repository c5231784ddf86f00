import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.supervision import gateway_keeper
from gateway.supervision.child_process import Command
from gateway.supervision.gateway_keeper import GatewayKeeper
from tests.unit.gateway.child_scripts import GATEWAY, STUBBORN, command, noted, until_noted


async def no_pause(_delay_s: float) -> None:
    """Restarts follow at once."""


class Scene:
    """A keeper over a script, with the number of times it said that it serves."""

    def __init__(self, tmp_path: Path, *scripts: str, drain_s: float = 60.0) -> None:
        self.notes = tmp_path / "notes"
        self.announced = 0
        self._scripts = list(scripts)
        self.keeper = GatewayKeeper(self._command, drain_s=drain_s, on_ready=self._announce, pause=no_pause)
        self.hurry = asyncio.Event()

    def _announce(self) -> None:
        self.announced += 1

    def _command(self, ready_fd: int) -> Command:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        made = command(f"READY_FD = {ready_fd}\n{script}", self.notes, passed_fds=(ready_fd,))
        return msgspec.structs.replace(made, name="gateway")

    def serving_pid(self) -> int:
        assert self.keeper._serving is not None
        return self.keeper._serving.child.pid

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.keeper._serving is not None
        self.keeper._serving.child.send(number)

    async def end(self, keeping: "asyncio.Task[int]") -> None:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await self.keeper.stop(self.hurry)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  # another process: there is nothing to await
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("status", "passed_on"), [(2, 2), (1, 1), (0, 1), (7, 1)])
async def test_a_gateway_that_never_was_ready_is_not_restarted(tmp_path: Path, status: int, passed_on: int) -> None:
    at = Scene(tmp_path, f"note('x'); raise SystemExit({status})")
    assert await at.keeper.keep() == passed_on
    assert (noted(at.notes), at.announced) == (["x"], 0)


async def test_a_gateway_that_cannot_be_started_is_a_failure(tmp_path: Path) -> None:
    def broken(_ready_fd: int) -> Command:
        return Command(name="gateway", argv=("/no/such/program",), environment={})

    assert await GatewayKeeper(broken, drain_s=1, on_ready=lambda: None).keep() == 1


async def test_a_killed_gateway_is_started_again_and_stop_drains_it(tmp_path: Path) -> None:
    at = Scene(tmp_path, GATEWAY)
    keeping = asyncio.create_task(at.keeper.keep())
    await until_noted(at.notes, "ready")
    await until(lambda: at.announced == 1)
    at.kill()
    await until_noted(at.notes, "ready", "ready")
    await at.end(keeping)
    assert noted(at.notes) == ["ready", "ready", "drained"]
    assert at.announced == 1


async def test_bad_configuration_is_passed_on_also_later(tmp_path: Path) -> None:
    at = Scene(tmp_path, GATEWAY, "note('refused'); raise SystemExit(2)")
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    at.kill()
    assert await keeping == 2


async def test_a_crash_loop_gives_up(tmp_path: Path) -> None:
    at = Scene(tmp_path, GATEWAY, "note('x'); raise SystemExit(1)")
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    at.kill()
    assert await keeping == 1
    assert noted(at.notes) == ["ready", *["x"] * 4]


async def test_a_replacement_is_ready_before_the_old_one_drains(tmp_path: Path) -> None:
    at = Scene(tmp_path, GATEWAY)
    await at.keeper.replace()  # nothing serves yet: nothing to replace
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    old = at.serving_pid()
    await asyncio.gather(at.keeper.replace(), at.keeper.replace())  # the second one is already under way
    assert noted(at.notes) == ["ready", "ready", "drained"]
    assert at.serving_pid() != old
    at.kill()  # the new one is the one that is kept
    await until_noted(at.notes, "ready", "ready", "drained", "ready")
    await at.end(keeping)


async def test_a_replacement_that_cannot_be_started_leaves_the_old_one(tmp_path: Path) -> None:
    at = Scene(tmp_path, GATEWAY)
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    at.keeper._make_command = lambda _fd: Command(name="gateway", argv=("/no/such/program",), environment={})
    old = at.serving_pid()
    await at.keeper.replace()
    assert at.serving_pid() == old
    await at.end(keeping)
    assert noted(at.notes) == ["ready", "drained"]


@pytest.mark.parametrize("fresh", ["raise SystemExit(2)", STUBBORN])
async def test_a_replacement_that_does_not_come_up_leaves_the_old_one(
    tmp_path: Path, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_keeper, "READY_WITHIN_S", 0.2)
    monkeypatch.setattr(gateway_keeper, "HURRIED_GRACE_S", 0.05)
    at = Scene(tmp_path, GATEWAY, fresh)
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    old = at.serving_pid()
    await at.keeper.replace()
    assert at.serving_pid() == old
    assert not keeping.done()
    await at.end(keeping)


async def test_a_hurried_stop_does_not_wait_for_the_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_keeper, "HURRIED_GRACE_S", 0.05)
    at = Scene(tmp_path, GATEWAY.replace("os._exit(0)", "0"), drain_s=3600)
    keeping = asyncio.create_task(at.keeper.keep())
    await until(lambda: at.announced == 1)
    ending = asyncio.create_task(at.end(keeping))
    await until_noted(at.notes, "ready", "drained")
    at.hurry.set()
    await asyncio.wait_for(ending, 60)
