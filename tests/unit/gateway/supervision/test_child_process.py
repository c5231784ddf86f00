import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.supervision.child_process import Command, spawn
from tests.unit.gateway.child_scripts import OBEDIENT, SECOND_TERM, STUBBORN, command, noted, until_noted


async def test_an_exit_status_is_handed_on_to_all_who_wait(tmp_path: Path) -> None:
    child = spawn(command("raise SystemExit(3)", tmp_path / "n"))
    assert await asyncio.gather(child.wait(), child.wait()) == [3, 3]
    assert not child.running
    child.send(signal.SIGTERM)  # to nobody
    await child.stop(1)


async def test_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    child = spawn(command(OBEDIENT, tmp_path / "n"))
    await until_noted(tmp_path / "n", "up")
    child.send(signal.SIGKILL)
    assert await child.wait() == -9


async def test_stop_waits_for_an_obedient_child_and_kills_a_stubborn_one(tmp_path: Path) -> None:
    obedient, stubborn = spawn(command(OBEDIENT, tmp_path / "o")), spawn(command(STUBBORN, tmp_path / "s"))
    await until_noted(tmp_path / "o", "up")
    await until_noted(tmp_path / "s", "up")
    await asyncio.gather(obedient.stop(60), stubborn.stop(0.05))
    assert (await obedient.wait(), await stubborn.wait()) == (0, -9)


async def test_a_child_hears_sigterm_once_until_it_is_hurried(tmp_path: Path) -> None:
    child = spawn(command(SECOND_TERM, tmp_path / "n"))
    await until_noted(tmp_path / "n", "up")
    first, second = asyncio.create_task(child.stop(60)), asyncio.create_task(child.stop(60))
    await until_noted(tmp_path / "n", "up", "told")
    await child.stop(60, hurried=True)
    await asyncio.gather(first, second)
    assert noted(tmp_path / "n") == ["up", "told", "told"]


async def test_a_child_inherits_what_its_command_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    read_fd, write_fd = os.pipe()
    other_read, other_write = os.pipe()
    os.set_inheritable(other_write, True)
    script = """
import os
listed = os.listdir("/proc/self/fd")  # its own descriptor among them, closed by now
note(",".join(fd for fd in listed if int(fd) > 2 and os.path.exists("/proc/self/fd/" + fd)))
note(",".join(sorted(os.environ))); note(os.getcwd()); note(oct(os.umask(0)))
note(str(os.getsid(0) == os.getpid()))
"""
    child = spawn(command(script, tmp_path / "n", passed_fds=(write_fd,)))
    assert await child.wait() == 0
    descriptors, environment, folder, umask, leads_session = noted(tmp_path / "n")
    assert descriptors == str(write_fd)
    assert "SECRET" not in environment
    assert (folder, umask, leads_session) == ("/", "0o77", "True")
    for descriptor in (read_fd, write_fd, other_read, other_write):
        os.close(descriptor)


async def test_the_kernel_is_told_whom_to_kill_first(tmp_path: Path) -> None:
    child = spawn(msgspec.structs.replace(command(OBEDIENT, tmp_path / "n"), oom_score_adj=500))
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "500\n"  # noqa: ASYNC240  # no disk behind it
    assert child.last_line == ""  # not relayed
    await child.stop(0)


async def test_a_relayed_child_prints_into_the_log(tmp_path: Path) -> None:
    with capture_logs() as logs:
        child = spawn(command("import sys; print('out'); sys.exit('err')", tmp_path / "n", relayed=True))
        await child.wait()
        async with asyncio.timeout(30):
            while len(logs) < 2:  # noqa: ASYNC110  # rounds of the loop, no time
                await asyncio.sleep(0)
    assert {entry["line"] for entry in logs} == {"out", "err"}
    assert child.last_line in {"out", "err"}


@pytest.mark.parametrize("relayed", [True, False])
async def test_a_program_that_is_not_there_is_an_os_error(relayed: bool) -> None:
    with pytest.raises(FileNotFoundError):
        spawn(Command(name="x", argv=("/no/such/program",), environment={}, relayed=relayed))
