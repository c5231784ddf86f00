"""`corral approve`: what waits for two persons, the text to sign, and a signature handed in."""

import argparse
import base64
from pathlib import Path
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.output import BAD_INPUT, CommandFault, emit, say, table

MAX_FILE_BYTES = 16 * 1024
"""Of a signature's file; one of ssh-keygen is less than half of that."""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `approve`."""
    approve = commands.add_parser(
        "approve", parents=[common, reason_options()], help="agree to an act that two persons are needed for"
    )
    approve.add_argument("id", nargs="?", metavar="ID", help="the request; without --signature its exact text is shown")
    approve.add_argument("--signature", type=Path, metavar="FILE", help="made by ssh-keygen -Y sign -n corral-act")
    approve.add_argument("--list", action="store_true", help="the open requests (so does no ID)")
    approve.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List, show, or sign. Raises CommandFault."""
    if arguments.id is None or arguments.list:
        return _list(arguments)
    return _show(arguments) if arguments.signature is None else _sign(arguments)


def _sign(arguments: argparse.Namespace) -> int:
    try:
        with arguments.signature.open("rb") as file:
            signature = file.read(MAX_FILE_BYTES + 1)
    except OSError as fault:
        raise CommandFault(f"cannot read {arguments.signature}: {fault.strerror}", status=BAD_INPUT) from None
    if len(signature) > MAX_FILE_BYTES:
        raise CommandFault(f"{arguments.signature} is too long for a signature", status=BAD_INPUT)
    given = {"id": arguments.id, "signature": base64.b64encode(signature).decode(), **reason_of(arguments)}
    signed = _call(arguments, "acts.approve", given)
    then = f"{signed['missing']} more must sign" if signed["missing"] else f"go on with --approval {signed['id']}"
    emit(arguments, signed, f"{signed['act']}: signed by {', '.join(signed['signers'])}; {then}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    found = [each for each in _call(arguments, "acts.list", {})["requests"] if each["id"] == arguments.id]
    if not found:
        raise CommandFault(f"no open request is called {arguments.id!r}: see 'corral approve'", status=BAD_INPUT)
    if arguments.json:
        emit(arguments, found[0], "")
    else:
        say(found[0]["text"], end="")  # to the byte: it is what is signed
    return 0


def _list(arguments: argparse.Namespace) -> int:
    answer = _call(arguments, "acts.list", {})
    rows: list[tuple[str, ...]] = [
        (each["id"], each["purpose"], each["asker"], each["ends"], ", ".join(each["signers"]) or "-")
        for each in answer["requests"]
    ]
    nothing = "nothing waits" if answer["signers"] else "nothing waits: no signers are set, one person acts alone"
    emit(arguments, answer, table(("ID", "TO", "ASKED BY", "ENDS", "SIGNED BY"), rows) if rows else nothing)
    return 0


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)
