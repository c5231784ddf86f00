"""What a search or an export asked, as the log is told of it, and as it is kept under a name."""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from policies.audit_record import clean
from policies.auditing.search_filter import NAMES, read_network

MAX_TOLD = 512
PERSONAL = ("actor", "address", "text")


def why_options() -> argparse.ArgumentParser:
    """A parent parser with what other acts take as --reason, which is a condition here, and --ticket."""
    why = argparse.ArgumentParser(add_help=False)
    why.add_argument("--why", default="", help="why the log is read, for the audit log")
    why.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")
    return why


def why_of(arguments: argparse.Namespace) -> dict[str, str]:
    """What was given, as arguments of the act."""
    return {"reason": arguments.why, "ticket": arguments.ticket}


def told_to_log(asked: dict[str, str], pseudonyms: tuple[str, ...]) -> dict[str, Any]:
    """The conditions as one text, which the log enciphers, and the hash of what of them names nobody."""
    told = " ".join(f"{name}={asked[name]}" for name in NAMES if name in asked)
    plain = [f"{name}={asked[name]}" for name in NAMES if name in asked and name not in PERSONAL]
    hidden = [f"actor={each}" for each in pseudonyms] + [name for name in PERSONAL if name in asked]
    if "address" in asked and not read_network(asked["address"]).single:
        hidden.append(f"network={asked['address']}")
    digest = hashlib.sha256("\n".join([*plain, *hidden]).encode()).hexdigest()
    return {"filter": clean(told, MAX_TOLD), "filter_hash": digest}


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
