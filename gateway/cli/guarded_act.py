"""Acts that two persons must agree to, as commands do them: asked for first, done with `--approval ID`."""

import argparse
import sys
from typing import Any

from gateway.cli.output import FAILED, emit

Json = dict[str, Any]

NOT_DONE = FAILED
"""The exit status of a command that has only asked: what it is for was not done."""


def approval_option() -> argparse.ArgumentParser:
    """A parent parser with `--approval`."""
    approval = argparse.ArgumentParser(add_help=False)
    approval.add_argument(
        "--approval", default="", metavar="ID", help="the id of the request that two persons have signed"
    )
    return approval


def call_guarded(arguments: argparse.Namespace, act: str, asked: Json) -> Json | None:
    """Do `act`, and answer its result; None when it was only asked for, which is told here. Raises CommandFault.

    Where one person did it alone, that is said on stderr, and with --json in the result.
    """
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    given = {"approval": arguments.approval} if arguments.approval else {}
    result = call_act(open_home(arguments.home), act, asked | given)
    if "asked" in result:
        _tell(arguments, result["asked"])
        return None
    if "two_persons" in result and not arguments.json:
        print(f"corral: {result['two_persons']} (docs/two-persons.md)", file=sys.stderr)
    return result


def _tell(arguments: argparse.Namespace, request: Json) -> None:
    """The request: its exact text, and what to do with it."""
    emit(arguments, {"asked": request}, request["text"].removesuffix("\n"))
    how = (
        f"corral: asked, not done: two signers sign exactly this text until {request['ends']}: "
        f"corral approve {request['id']} > act.txt; ssh-keygen -Y sign -n corral-act -f KEY act.txt; "
        f"corral approve {request['id']} --signature act.txt.sig; then give this command again "
        f"with --approval {request['id']}"
    )
    print(how, file=sys.stderr)
