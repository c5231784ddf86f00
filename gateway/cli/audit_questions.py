"""Why a search or an export is asked, and how its conditions are kept under a name."""

import argparse
from pathlib import Path
from typing import Any

from policies.auditing.conditions import told_to_log


def why_options() -> argparse.ArgumentParser:
    """A parent parser with what other acts take as --reason, which is a condition here, and --ticket."""
    why = argparse.ArgumentParser(add_help=False)
    why.add_argument("--why", default="", help="why the log is read, for the audit log")
    why.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")
    return why


def why_of(arguments: argparse.Namespace) -> dict[str, str]:
    """What was given, as arguments of the act."""
    return {"reason": arguments.why, "ticket": arguments.ticket}


def kept_conditions(home: Path, name: str) -> dict[str, str]:
    """The conditions kept under `name`; none for no name. Raises QueryFault."""
    from gateway.audit.index.saved_queries import SavedQueries

    return dict(SavedQueries(home).get(name)) if name else {}


def keep_query(home: Any, arguments: argparse.Namespace, asked: dict[str, str], pseudonyms: tuple[str, ...]) -> None:
    """Keep what is asked as `--save` names it, once that is recorded. Raises QueryFault, CommandFault."""
    from gateway.audit.index.saved_queries import SavedQueries
    from gateway.cli.admin_client import call_act

    queries = SavedQueries(home.path)
    queries.require_free(arguments.save)
    told = told_to_log(asked, pseudonyms) | {"name": arguments.save} | why_of(arguments)
    call_act(home, "audit.query_save", told)
    queries.put(arguments.save, asked)
