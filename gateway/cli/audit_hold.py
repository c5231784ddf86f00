"""`corral audit hold set|lift|list`: what the retention of the log must not remove."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import emit, table


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare `hold` and its actions."""
    hold = acts.add_parser("hold", help="keep the log, or a time of it, longer than its retention")
    actions = hold.add_subparsers(dest="action", required=True, metavar="ACTION")
    why = reason_options()
    setting = actions.add_parser("set", parents=[common, why], help="hold all, or what was recorded in a time")
    setting.add_argument("--from", dest="since", default="", metavar="TIME", help="such as 2030-01-31T00:00:00Z")
    setting.add_argument("--to", dest="until", default="", metavar="TIME", help="without one it has no end")
    setting.set_defaults(run=set_hold)
    lifting = actions.add_parser("lift", parents=[common, why, approval_option()], help="end a hold")
    lifting.add_argument("id", metavar="ID")
    lifting.set_defaults(run=lift_hold)
    listing = actions.add_parser("list", parents=[common], help="the holds in force")
    listing.set_defaults(run=list_holds)


def set_hold(arguments: argparse.Namespace) -> int:
    """Set a hold."""
    asked = {"since": arguments.since, "until": arguments.until, **reason_of(arguments)}
    made = _call(arguments, "holds.set", asked)
    emit(arguments, made, f"{made['id']}: {_span(made)} is held until it is lifted")
    return 0


def lift_hold(arguments: argparse.Namespace) -> int:
    """Lift a hold."""
    lifted = call_guarded(arguments, "holds.lift", {"id": arguments.id, **reason_of(arguments)})
    if lifted is None:
        return NOT_DONE
    emit(arguments, lifted, f"{lifted['id']} is lifted: {_span(lifted)} is pruned again when its time has come")
    return 0


def list_holds(arguments: argparse.Namespace) -> int:
    """The holds, oldest first."""
    holds = _call(arguments, "holds.list", {})["holds"]
    columns = ("id", "from", "to", "set", "reason", "ticket")
    rows = [tuple(str(hold[column] or "") for column in columns) for hold in holds]
    emit(arguments, holds, table(tuple(column.upper() for column in columns), rows) if rows else "no holds")
    return 0


def _span(hold: dict[str, Any]) -> str:
    if not hold["from"] and not hold["to"]:
        return "the whole log"
    return f"the log from {hold['from'] or 'its beginning'} to {hold['to'] or 'its end'}"


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)
