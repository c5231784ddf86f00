"""`corral audit content ID`: prompt and answer of a request whose team keeps them. The reading is recorded first."""

import argparse
import json
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import emit


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare `content`."""
    command = acts.add_parser(
        "content",
        parents=[common, reason_options(), approval_option()],
        help="read prompt and answer of a request, where they are kept",
    )
    command.add_argument("request", metavar="ID", help="the request's id, as in the log")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what is kept, as JSON either way: a terminal must not act on what a model wrote."""
    found = call_guarded(arguments, "audit.read_content", {"request": arguments.request, **reason_of(arguments)})
    if found is None:
        return NOT_DONE
    emit(arguments, found, json.dumps(found, ensure_ascii=True, indent=2))
    return 0
