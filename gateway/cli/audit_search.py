"""`corral audit search` finds records, newest first, and says in the log that it did.

The record of a search is lasting before anything of its answer is shown.
"""

import argparse
from typing import Any

from gateway.cli.audit_filters import asked_of, filter_of, filter_options
from gateway.cli.audit_index import opened_index
from gateway.cli.audit_lines import matter_lines, one_line, request_lines
from gateway.cli.audit_questions import keep_query, kept_conditions, why_of, why_options
from gateway.cli.output import BAD_INPUT, CommandFault, emit
from gateway.cli.shown_names import HIDDEN, names_are_shown
from policies.auditing.conditions import Place, read_place, told_to_log

MOST = 10_000
DEFAULT = 50


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit search`."""
    parents = [common, filter_options(), why_options()]
    search = acts.add_parser("search", parents=parents, help="find records by conditions, newest first")
    search.add_argument(
        "--limit", type=int, default=DEFAULT, help=f"how many at most (default {DEFAULT}, up to {MOST})"
    )
    search.add_argument(
        "--cursor", default="", metavar="CHAIN:SEQ", help="go on behind this record, the last one shown"
    )
    search.add_argument("--saved", default="", metavar="NAME", help="with the conditions kept under this name")
    search.add_argument("--save", default="", metavar="NAME", help="keep the conditions under this name")
    search.set_defaults(run=run_search)


def run_search(arguments: argparse.Namespace) -> int:
    """Find, record, show."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home
    from policies.auditing.request_view import joined

    if not 1 <= arguments.limit <= MOST:
        raise CommandFault(f"--limit is 1 to {MOST}", status=BAD_INPUT)
    home, before = open_home(arguments.home), read_cursor(arguments.cursor)
    names = names_are_shown(home)
    with opened_index(home) as (index, records):
        asked = kept_conditions(home.path, arguments.saved) | asked_of(arguments)
        people = records.pseudonyms(asked.get("actor", ""))
        found = index.search(filter_of(asked, people), arguments.limit, before)
        told = told_to_log(asked, people) | {"saved": arguments.saved or arguments.save}
        if arguments.save:
            keep_query(home, arguments, asked, people)
        call_act(home, "audit.search", told | why_of(arguments) | {"hits": len(found.lines)})
        records.refresh()
        shown = [records.shown(line.record, names=names) for line in found.lines]
    last = found.lines[-1] if len(found.lines) == arguments.limit else None
    notes = [*found.notes, *([] if names else [HIDDEN])]
    views = joined(shown) if asked.get("request") else ()
    data = {
        "hits": [
            {"chain": line.chain, "seq": line.seq, "record": record}
            for line, record in zip(found.lines, shown, strict=True)
        ],
        "cursor": f"{last.chain}:{last.seq}" if last else None,
        "notes": notes,
    }
    if views:
        data["requests"] = [request_data(view) for view in views]
    texts = [request_lines(view) for view in views] or ["\n".join(_lines(record)) for record in shown]
    emit(arguments, data, "\n".join([*notes, *texts, _ending(len(shown), data["cursor"])]))
    return 0


def _lines(record: dict[str, Any]) -> list[str]:
    return [one_line(record), *matter_lines(record)]


def read_cursor(text: str) -> Place | None:
    """A record's chain and seq. Raises CommandFault."""
    try:
        return read_place(text) if text else None
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None


def request_data(view: Any) -> dict[str, Any]:
    """A request's view as JSON."""
    from msgspec import to_builtins

    data: dict[str, Any] = to_builtins(view)
    return data


def _ending(count: int, cursor: Any) -> str:
    if not count:
        return "nothing found"
    return f"{count} found; there may be more: --cursor {cursor}" if cursor else f"{count} found"
