"""Has an admin act done: by the running gateway over its socket, or here under the home's lock."""

import asyncio
import json
import socket
from typing import Any

from gateway.admin.unix_address import unix_address
from gateway.cli.output import CommandFault
from gateway.homes.home import Home

TIMEOUT_S = 30.0
"""Longer than an act takes on a slow disk; a gateway that does not answer by then is named as the fault."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024

Json = dict[str, Any]


def call_act(home: Home, act: str, arguments: Json) -> Json:
    """Do `act` on `home` and answer its result. Raises CommandFault with what went wrong and the remedy."""
    connection = _connect(home)
    if connection is None:
        return _offline(home, act, arguments)
    with connection:
        answer = _exchange(connection, home, {"act": act, "arguments": arguments})
    if "error" in answer:
        raise CommandFault(str(answer["error"]), status=int(answer["status"]))
    result: Json = answer["result"]
    return result


def _connect(home: Home) -> socket.socket | None:
    """A connection to the running gateway; None when none listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    try:
        with unix_address(home.admin_socket) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as fault:
        connection.close()
        raise CommandFault(f"cannot reach the gateway at {home.admin_socket}: {fault.strerror or fault}") from fault
    return connection


def _exchange(connection: socket.socket, home: Home, request: Json) -> Json:
    try:
        connection.sendall(json.dumps(request).encode("ascii") + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline(MAX_ANSWER_BYTES)
        if not line:
            raise ConnectionError("it closed the connection")
        answer: Json = json.loads(line)
    except (OSError, ValueError) as fault:
        raise CommandFault(
            f"the gateway of {home.path} gave no answer ({fault}): look at 'corral status' before trying again"
        ) from fault
    return answer


def _offline(home: Home, act: str, arguments: Json) -> Json:
    from gateway.admin.act import ActRefused
    from gateway.admin.admin_acts import ACTS
    from gateway.admin.admin_socket import BAD_INPUT, explain
    from gateway.admin.offline_act import NotTheOwner, perform_offline
    from gateway.audit.audit_log import AuditNotOpened
    from gateway.audit.audit_place import NoPlace
    from gateway.audit.home_secret import KeysNotOpened
    from gateway.configuration.config import ConfigFaults
    from gateway.homes.home_lock import HomeInUse
    from gateway.keys.pepper import UnfitPepper
    from policies.errors import Refused

    if act not in ACTS:
        raise CommandFault(f"no gateway runs for {home.path}: start it with 'corral serve'")
    try:
        return asyncio.run(perform_offline(home, act, arguments))
    except (ActRefused, ConfigFaults) as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from fault
    except Refused as fault:
        raise CommandFault(explain(fault)) from fault
    except (HomeInUse, NotTheOwner, UnfitPepper, NoPlace, AuditNotOpened, KeysNotOpened) as fault:
        raise CommandFault(str(fault)) from fault
    except OSError as fault:
        raise CommandFault(f"{fault.filename or home.path}: {fault.strerror or fault}") from fault
