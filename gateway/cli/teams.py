"""`corral teams list`: the teams of policy.yaml."""

import argparse
from typing import Any

from gateway.cli.output import emit, table


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `teams`."""
    teams = commands.add_parser("teams", help="the teams that policy.yaml names")
    actions = teams.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="all teams").set_defaults(run=list_teams)


def list_teams(arguments: argparse.Namespace) -> int:
    """Every team with its models and how many active keys it has."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    teams = call_act(open_home(arguments.home), "teams.list", {})["teams"]
    rows: list[tuple[str, ...]] = [
        (team["name"], " ".join(team["models"]) or "none", f"{team['weight']:g}", str(team["active_keys"]))
        for team in teams
    ]
    text = table(("TEAM", "MODELS", "WEIGHT", "ACTIVE KEYS"), rows) if rows else "policy.yaml names no team"
    emit(arguments, teams, text)
    return 0
