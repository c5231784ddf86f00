"""One child process: started with nothing but what its command names, and waited for without threads."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from msgspec import Struct

from gateway.supervision.child_output import Relay

STDERR = 2


class Command(Struct, frozen=True, kw_only=True):
    """How to start a child. `environment` is the whole of it, `passed_fds` are kept under their numbers.

    `relayed` children write to the supervisor, which puts their lines into its own log; the others
    write to its stderr directly. `oom_score_adj` tells the kernel whom to kill first (higher: sooner).
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    passed_fds: tuple[int, ...] = ()
    oom_score_adj: int = 0
    relayed: bool = False


class ChildProcess:
    """A started child. Made by `spawn`."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", relay: Relay | None = None) -> None:
        self.name = name
        self._relay = relay
        self.pid = process.pid
        self._process = process
        self._told_to_stop = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        # A pid descriptor needs neither a thread nor SIGCHLD, and can never mean another process.
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def running(self) -> bool:
        """True until the child has ended."""
        return not self._ended.done()

    @property
    def last_line(self) -> str:
        """What a relayed child printed last, as far as it was read; "" for nothing."""
        return self._relay.last_line if self._relay is not None else ""

    async def wait(self) -> int:
        """The exit status once the child has ended; negative is a signal."""
        return await asyncio.shield(self._ended)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the child has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def stop(self, grace_s: float, *, hurried: bool = False) -> None:
        """SIGTERM, and after `grace_s` SIGKILL; returns when the child has ended.

        A child hears SIGTERM once, however often it is stopped: a second one means "at once" and is
        sent only by a `hurried` stop.
        """
        if hurried or not self._told_to_stop:
            self._told_to_stop = True
            self.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), grace_s)
        self.send(signal.SIGKILL)
        await self.wait()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(self._process.wait())


def spawn(command: Command) -> ChildProcess:
    """Start `command` in a session of its own. Raises OSError when the kernel refuses."""
    relay = Relay(command.name) if command.relayed else None
    output = relay.write_fd if relay is not None else STDERR
    try:
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then ends the
        # children in order. Spawned from the main thread, as PR_SET_PDEATHSIG follows the spawning thread.
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments, no shell
            command.argv,
            env=command.environment,
            pass_fds=command.passed_fds,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            umask=0o077,
            start_new_session=True,
        )
    except OSError:
        if relay is not None:
            relay.close()
        raise
    finally:
        if relay is not None:
            relay.close_write_end()
    _set_oom_score(process.pid, command.oom_score_adj)
    return ChildProcess(command.name, process, relay)


def _set_oom_score(pid: int, score: int) -> None:
    """Best effort: lowering a score needs a privilege that Corral does not ask for."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score), "ascii")
