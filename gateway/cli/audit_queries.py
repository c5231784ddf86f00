"""`corral audit queries` lists the searches that were kept, and removes one."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.audit_index import opened_index
from gateway.cli.output import emit, table
from policies.auditing.conditions import told_to_log


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit queries`."""
    queries = acts.add_parser("queries", parents=[common, reason_options()], help="the searches kept under a name")
    queries.add_argument("--remove", default="", metavar="NAME", help="keep this one no more")
    queries.set_defaults(run=run_queries)


def run_queries(arguments: argparse.Namespace) -> int:
    """List them, after one was removed if that was asked."""
    from gateway.audit.index.saved_queries import SavedQueries
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    home = open_home(arguments.home)
    with opened_index(home) as (_index, records):
        queries = SavedQueries(home.path)
        if arguments.remove:
            asked = queries.get(arguments.remove)
            told = told_to_log(asked, records.pseudonyms(asked.get("actor", "")))
            call_act(home, "audit.query_remove", told | {"name": arguments.remove} | reason_of(arguments))
            queries.remove(arguments.remove)
        kept = queries.all()
    rows: list[tuple[str, ...]] = [
        (name, " ".join(f"{each}={value}" for each, value in asked.items())) for name, asked in sorted(kept.items())
    ]
    emit(arguments, {"queries": kept}, table(("NAME", "CONDITIONS"), rows) if rows else "no search is kept")
    return 0
