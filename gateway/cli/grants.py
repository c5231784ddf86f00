"""`corral grants add|list|end`: exceptions from a team's limits that end by themselves."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.output import emit, table


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `grants` and its actions."""
    grants = commands.add_parser("grants", help="raise a team's limit for a while")
    actions = grants.add_subparsers(dest="action", required=True, metavar="ACTION")
    why = reason_options()
    add = actions.add_parser("add", parents=[common, why], help="raise one limit of a team until a moment")
    add.add_argument("--team", required=True, help="a team of policy.yaml")
    add.add_argument("--limit", required=True, metavar="FIELD=VALUE", help="such as requests_per_minute=1200")
    add.add_argument("--until", required=True, metavar="TIME", help="12h, or 2030-01-31T18:00:00Z")
    add.set_defaults(run=add_grant)
    listing = actions.add_parser("list", parents=[common], help="the grants that hold")
    listing.add_argument("--all", action="store_true", help="those that ended too")
    listing.set_defaults(run=list_grants)
    end = actions.add_parser("end", parents=[common, why], help="end a grant before its time")
    end.add_argument("id", metavar="ID")
    end.set_defaults(run=end_grant)


def add_grant(arguments: argparse.Namespace) -> int:
    """Raise a limit for a while."""
    asked = {"team": arguments.team, "limit": arguments.limit, "until": arguments.until, **reason_of(arguments)}
    made = _call(arguments, "grants.add", asked)
    emit(arguments, made, f"{made['id']}: team {made['team']}, {made['limit']}={made['value']} until {made['until']}")
    return 0


def list_grants(arguments: argparse.Namespace) -> int:
    """The grants, oldest first."""
    grants = _call(arguments, "grants.list", {"all": arguments.all})["grants"]
    columns = ("id", "team", "limit", "value", "until", "by", "state")
    rows = [tuple(str(grant[column]) for column in columns) for grant in grants]
    text = table(tuple(column.upper() for column in columns), rows) if rows else "no grants"
    emit(arguments, grants, text)
    return 0


def end_grant(arguments: argparse.Namespace) -> int:
    """End a grant now."""
    ended = _call(arguments, "grants.end", {"id": arguments.id, **reason_of(arguments)})
    emit(arguments, ended, f"{ended['id']} of team {ended['team']} has ended")
    return 0


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)
