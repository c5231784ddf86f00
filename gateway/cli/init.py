"""`corral init`: makes a home with everything `corral serve` needs, and the first key."""

import argparse
import os
import secrets
import socket
import sys
from typing import TYPE_CHECKING, Any

from gateway.cli.output import BAD_INPUT, CommandFault, emit

if TYPE_CHECKING:
    from gateway.admin.new_home import HomePlan, NewHome


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `init`."""
    init = commands.add_parser("init", parents=[common], help="make a home: settings, certificate, first team and key")
    init.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a further host name or IP address that clients will use (repeatable; localhost and this host are in)",
    )
    init.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the home; the first key goes to the terminal, or to a file when there is none."""
    from gateway.admin.new_home import HomeNotMade, make_home
    from gateway.audit.audit_log import AuditNotOpened
    from gateway.audit.audit_place import NoPlace
    from gateway.audit.home_secret import KeysNotOpened
    from policies.errors import Refused

    shown = sys.stdout.isatty()
    try:
        made = make_home(arguments.home, _plan(arguments.name, leave_key=not shown))
    except (HomeNotMade, ValueError) as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from fault
    except (AuditNotOpened, KeysNotOpened, NoPlace) as fault:
        raise CommandFault(f"no home was made: {fault}") from fault
    except Refused as fault:
        raise CommandFault(f"no home was made at {arguments.home}: {fault.reason}") from fault
    except OSError as fault:
        raise CommandFault(f"no home was made at {arguments.home}: {fault.strerror or fault}") from fault
    emit(arguments, _data(made, shown=shown), _text(made, shown=shown))
    return 0


def _plan(names: list[str], *, leave_key: bool) -> "HomePlan":
    from gateway.admin.admin_peer import user_name
    from gateway.admin.new_home import HomePlan
    from gateway.audit.audit_log import stamp_now
    from policies.audit_record import Actor

    uid = os.getuid()
    return HomePlan(
        names=tuple(dict.fromkeys([*_this_host(), *names])),
        actor=Actor(kind="operator", id=str(uid), name=user_name(uid), method="process"),
        leave_key=leave_key,
        stamp=stamp_now(),
        random_bytes=secrets.token_bytes,
    )


def _this_host() -> list[str]:
    """The host's own name, unless it is none that a certificate can carry."""
    from gateway.homes.host_names import read_host_name

    try:
        return [read_host_name(socket.gethostname())]
    except ValueError:
        return []


def _data(made: "NewHome", *, shown: bool) -> dict[str, Any]:
    key = {"key": made.first_key.text} if shown else {"key_file": str(made.home.first_key)}
    return {
        "home": str(made.home.path),
        "ca_file": str(made.home.ca_certificate),
        "team": made.record.team,
        "key_id": made.first_key.id,
    } | key


def _text(made: "NewHome", *, shown: bool) -> str:
    from gateway.keys.key_views import show_time

    home, record = made.home, made.record
    place = f"{made.first_key.text}   (shown this once)" if shown else f"{home.first_key}   (deleted at its first use)"
    return (
        f"Made {home.path}\n"
        f"  settings   config.yaml (the machine), policy.yaml (the people)\n"
        f"  CA file    {home.ca_certificate}   (what clients trust)\n"
        f"  first key  {place}\n"
        f"             team {record.team}, ends {show_time(record.expires_s)}\n"
        f"Next: corral serve"
    )
