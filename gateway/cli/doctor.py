"""`corral doctor`: what is wrong here, one line each with its remedy. Exit status 0: nothing, 1: something.

Works without a home, as far as it can: then it looks at this host and at what is installed.
"""

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import convert, to_builtins

from gateway.cli.output import FAILED, CommandFault, emit
from gateway.doctor.complaint import Complaint
from gateway.homes.home import Home, NoHome, open_home

if TYPE_CHECKING:
    from gateway.configuration.settings import Config

PROGRESS_AFTER_S = 2.0


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `doctor`."""
    parser = commands.add_parser("doctor", parents=[common], help="what is wrong here, and what to do about it")
    parser.set_defaults(run=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print every complaint."""
    from gateway.doctor.back_door_check import back_door_complaints
    from gateway.doctor.version_checks import parser_complaints, version_complaints

    try:
        home = open_home(arguments.home)
    except NoHome:
        home = None
    complaints = [*version_complaints(), *parser_complaints()]
    with _patience():
        complaints += _of_home(home) if home is not None else back_door_complaints(_look_now(None, None))
    found = [to_builtins(each) for each in complaints]
    nothing = "nothing found" if home is not None else "nothing found (there is no home here: looked at this host only)"
    emit(arguments, found, "\n".join(each.line for each in complaints) or nothing)
    return FAILED if complaints else 0


def _of_home(home: Home) -> Iterator[Complaint]:
    from gateway.doctor.back_door_check import back_door_complaints
    from gateway.doctor.gateway_check import gateway_complaints
    from gateway.doctor.home_checks import home_complaints, key_complaints, read_files
    from gateway.doctor.promise_check import promise_complaints
    from policies.admitting.queue_view import QueueView

    config, policy, complaints = read_files(home)
    yield from complaints
    keys: list[dict[str, Any]] = []
    try:
        keys = _call(home, "keys.list")["keys"]
    except CommandFault as fault:
        why, remedy = "its keys were not looked at", "run as the home's owner, with the gateway up or down"
        yield Complaint(check="keys", what=str(fault), why=why, remedy=remedy)
    yield from key_complaints(keys)
    if config is not None and policy is not None:
        has_key = any(key["state"] == "active" for key in keys)
        yield from home_complaints(home, config, policy, has_key=has_key, now_s=time.time())
    yield from gateway_complaints(_asked_gateway(home, "status"))
    queue = _asked_gateway(home, "queue")
    if queue is not None and policy is not None:
        yield from promise_complaints(convert(queue, QueueView).pools, policy)
    yield from back_door_complaints(_look(home, config))


def _look(home: Home, config: "Config | None") -> dict[str, Any]:
    """What the running gateway finds now; when none runs, or none answers, the look is made here."""
    return _asked_gateway(home, "back_door") or _look_now(home.path, config)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Say what takes so long, if it does."""
    saying = threading.Timer(PROGRESS_AFTER_S, _say_progress)
    saying.start()
    try:
        yield
    finally:
        saying.cancel()


def _say_progress() -> None:
    print("corral: asking model servers whether they refuse who shows no key ...", file=sys.stderr)


def _asked_gateway(home: Home, act: str) -> dict[str, Any] | None:
    """What the running gateway says; None when none runs, or none answers."""
    try:
        return _call(home, act)
    except CommandFault:
        return None


def _look_now(home: Path | None, config: "Config | None") -> dict[str, Any]:
    from gateway.doctor.back_door_check import look_now

    return look_now(home, config)


def _call(home: Home, act: str) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act

    return call_act(home, act, {})
