"""The gateway process: `python -m gateway.process`, started by the supervisor with its sockets.

Exit status: 0 after a drain, 2 for a fault in what it was given, 1 for anything else. It says `ready`
on `--ready-fd` once it accepts. A second SIGTERM ends it at once.
"""

import argparse
import asyncio
import contextlib
import ctypes
import signal
import socket
import sys
from pathlib import Path

import uvloop

from engine.plan import PlanFault
from engine.private_memory import keep_memory_private
from gateway.app import opened
from gateway.audit.audit_log import AuditNotOpened
from gateway.audit.audit_place import NoPlace
from gateway.audit.home_secret import KeysNotOpened
from gateway.configuration.config import ConfigFaults, load_config
from gateway.console.oidc.provider_parts import ClientSecretFault
from gateway.heap import keep_large_buffers_apart
from gateway.homes.home import Home
from gateway.homes.home_lock import HomeInUse, hold_home
from gateway.http.http_handler import assert_c_parser
from gateway.http.self_test import UnfitParser
from gateway.http.tls_context import TlsFault
from gateway.keys.pepper import UnfitPepper
from gateway.limits.redis_connection import SharedStoreFault
from gateway.logs import configure_logs
from gateway.outbound import OutboundFault
from gateway.policy_file.kept_policy import KeptPolicy
from gateway.policy_file.policy_reading import open_policy_file
from gateway.setting import Setting, UnknownGroup
from policies.access import ListenerName
from policies.errors import AuditUnavailable, PolicyUnavailable

BAD_INPUT = 2
HOME_WAIT_S = 5.0
"""A command that changes the home while no gateway runs holds it for less than a second."""
PR_SET_PDEATHSIG = 1
FAULTS = (
    ConfigFaults,
    UnknownGroup,
    PlanFault,
    SharedStoreFault,
    NoPlace,
    AuditNotOpened,
    OutboundFault,
    KeysNotOpened,
    HomeInUse,
    UnfitPepper,
    UnfitParser,
    TlsFault,
    ClientSecretFault,
)
"""What this process may be given and cannot work with; each says in a line what to do."""


def main(argv: list[str] | None = None) -> int:
    """Run one gateway until it is told to stop; returns the exit status."""
    arguments = _read_arguments(argv)
    _harden()
    keep_large_buffers_apart()
    try:
        configure_logs(sys.stderr, "info")
        setting = _read_setting(arguments)
        assert_c_parser()
        with hold_home(setting.home, shared=True, wait_s=HOME_WAIT_S):
            return uvloop.run(_serve(setting, arguments.ready_fd))
    except FAULTS as fault:
        print(f"corral: {fault}", file=sys.stderr)  # noqa: T201 (before there is a log, to who started us)
        return BAD_INPUT
    except (AuditUnavailable, PolicyUnavailable) as fault:
        what = "the audit log cannot be written" if isinstance(fault, AuditUnavailable) else "the key store is unusable"
        print(f"corral: {what} ({fault.reason}): look at its disk and its owner", file=sys.stderr)  # noqa: T201
        return BAD_INPUT


async def _serve(setting: Setting, ready_fd: int) -> int:
    loop = asyncio.get_running_loop()
    told, hurried = asyncio.Event(), asyncio.Event()

    def tell() -> None:
        (hurried if told.is_set() else told).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    async with opened(setting) as app:
        with open(ready_fd, "wb") as ready:  # noqa: ASYNC230 (a pipe, one line)
            ready.write(b"ready\n")
        await told.wait()
        app.begin_drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurried.wait(), setting.config.gateway.drain_notice_s)
        await app.drain(hurried)
    return 0


def _read_setting(arguments: argparse.Namespace) -> Setting:
    config = load_config(arguments.config)
    sockets: dict[ListenerName, socket.socket] = {
        "public": socket.socket(fileno=arguments.public_fd),
        "admin": socket.socket(fileno=arguments.admin_fd),
    }
    if arguments.console_fd is not None and config.console.enabled:  # the file may have changed since it was bound
        sockets["console"] = socket.socket(fileno=arguments.console_fd)
    home = Home(arguments.home)
    return Setting(
        home=home,
        config=config,
        policy_file=arguments.policy,
        in_force=KeptPolicy(home.run).load(open_policy_file(arguments.policy, config, home.path)),
        sockets=sockets,
        groups_configured=not config.tls.host_openssl_config,
    )


def _harden() -> None:
    """Die with the supervisor; no core dump and no debugger may read keys from this process."""
    keep_memory_private()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _read_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gateway.process")
    for name in ("home", "config", "policy"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("public-fd", "admin-fd", "ready-fd"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--console-fd", type=int)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
