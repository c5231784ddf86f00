"""`corral doctor`: what this machine is, and what is wrong here, one line each with its remedy.

Exit status 0: nothing is wrong, 1: something is.

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
    from engine.wall_probe import WallTrial
    from gateway.configuration.settings import Config
    from gateway.machine.machine_reading import MachineFacts

PROGRESS_AFTER_S = 2.0


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `doctor`."""
    parser = commands.add_parser("doctor", parents=[common], help="what is wrong here, and what to do about it")
    parser.set_defaults(run=doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print what the machine is, and every complaint."""
    from gateway.doctor.back_door_check import back_door_complaints
    from gateway.doctor.machine_check import machine_complaints, machine_lines
    from gateway.doctor.version_checks import parser_complaints, version_complaints
    from gateway.doctor.walls_check import wall_complaints, wall_lines

    try:
        home = open_home(arguments.home)
    except NoHome:
        home = None
    complaints = [*version_complaints(), *parser_complaints()]
    machine = _machine_now()
    complaints += machine_complaints(machine)
    walls = _walls_now()
    with _patience():
        if home is not None:
            complaints += _of_home(home, walls)
        else:
            complaints += [*wall_complaints(walls, "required"), *back_door_complaints(_look_now(None, None))]
    told, standing = machine_lines(machine), [*wall_lines(walls), *_anchored(home), *_two_persons(home)]
    document = {
        "complaints": [to_builtins(each) for each in complaints],
        "machine": list(told),
        "walls": list(wall_lines(walls)),
        "audit_log": _anchored(home),
        "two_persons": _two_persons(home),
    }
    nothing = "nothing found" if home is not None else "nothing found (there is no home here: looked at this host only)"
    emit(arguments, document, "\n".join([*told, *standing, "", *([each.line for each in complaints] or [nothing])]))
    return FAILED if complaints else 0


def _anchored(home: Home | None) -> list[str]:
    """Whether the audit log is anchored off this host; no complaint, since one machine alone is a way to use Corral."""
    from gateway.audit.anchor_words import home_words

    return [] if home is None else [f"audit log: {home_words(home.audit)}"]


def _two_persons(home: Home | None) -> list[str]:
    """Who must agree to what one should not do alone; nothing where config.yaml cannot be read."""
    from gateway.configuration.config import ConfigFaults, load_config
    from gateway.doctor.two_persons_check import two_persons_line

    try:
        return [] if home is None else [two_persons_line(load_config(home.config))]
    except ConfigFaults:
        return []


def _machine_now() -> "MachineFacts":
    from gateway.machine.machine_reading import read_facts

    return read_facts()


def _walls_now() -> "WallTrial | str":
    from gateway.supervision.wall_trial import try_walls

    return try_walls()


def _of_home(home: Home, walls: "WallTrial | str") -> Iterator[Complaint]:
    from gateway.doctor.audit_disk_check import audit_disk_complaints
    from gateway.doctor.back_door_check import back_door_complaints
    from gateway.doctor.console_check import console_complaints
    from gateway.doctor.content_check import content_complaints
    from gateway.doctor.gateway_check import gateway_complaints
    from gateway.doctor.home_checks import home_complaints, key_complaints, read_files
    from gateway.doctor.plan_check import plan_complaints
    from gateway.doctor.promise_check import promise_complaints
    from gateway.doctor.sign_in_check import sign_in_complaints
    from gateway.doctor.two_persons_check import two_persons_complaints
    from gateway.doctor.walls_check import wall_complaints
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
        yield from console_complaints(config, policy)
    if policy is not None:
        yield from content_complaints(policy, alone=config is None or config.policy.signers is None)
    if config is not None:
        yield from plan_complaints(home, config.engine)
        yield from sign_in_complaints(home.path, config)
        yield from two_persons_complaints(home.audit, config)
    if config is not None and config.engine.models != ():
        yield from wall_complaints(walls, config.engine.sandbox)
    yield from audit_disk_complaints(home.audit)
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
