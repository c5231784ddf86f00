"""`corral audit review` signs off what was looked at: a record of who, what was asked, and the stretch of each chain.

Without --range it covers what the log holds now of the time asked. Who changed something in it may not sign.
"""

import argparse
from typing import Any

from gateway.cli.audit_filters import asked_of, filter_of, filter_options
from gateway.cli.audit_index import opened_index
from gateway.cli.audit_questions import kept_conditions
from gateway.cli.output import BAD_INPUT, CommandFault, emit
from policies.auditing.conditions import told_to_log
from policies.auditing.review import Span, read_spans, spans_text


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit review`."""
    review = acts.add_parser(
        "review", parents=[common, filter_options()], help="sign off what you looked at, as a record of its own"
    )
    review.add_argument("--saved", default="", metavar="NAME", help="with the conditions kept under this name")
    review.add_argument("--remark", required=True, metavar="TEXT", help="what was found")
    review.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")
    review.add_argument(
        "--range", default="", metavar="CHAIN:FIRST-LAST,...", help="what was looked at (default: all of that time)"
    )
    review.set_defaults(run=run_review)


def run_review(arguments: argparse.Namespace) -> int:
    """Find what is signed, have it recorded, say it."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    home = open_home(arguments.home)
    with opened_index(home) as (index, records):
        asked = kept_conditions(home.path, arguments.saved) | asked_of(arguments)
        people = records.pseudonyms(asked.get("actor", ""))
        spans, hits = _looked_at(arguments, index, filter_of(asked, people))
    if not spans:
        raise CommandFault("the log holds nothing of that time: there is nothing to sign", status=BAD_INPUT)
    told = told_to_log(asked, people) | {"hits": hits, "ranges": spans_text(spans)}
    signed = call_act(home, "audit.review", told | {"reason": arguments.remark, "ticket": arguments.ticket})
    what = ", ".join(signed["chains"])
    emit(arguments, signed, f"signed off: {what}; {signed['hits']} records fit what was asked")
    return 0


def _looked_at(arguments: argparse.Namespace, index: Any, asked: Any) -> tuple[tuple[Span, ...], int]:
    """The stretches that are signed, and how many records in them fit. Raises CommandFault."""
    from gateway.audit.index.index_search import Rows
    from gateway.audit.index.reviewed_spans import spans_of

    try:
        named = read_spans(arguments.range) if arguments.range else None
    except ValueError as fault:
        raise CommandFault(f"--range: {fault}", status=BAD_INPUT) from None
    index.refresh()
    with index.opened() as database:
        rows = Rows(database)
        numbers = {name: number for number, name in rows.chains().items()}
        spans = named if named is not None else spans_of(database, asked)
        there = [span for span in spans if span.chain in numbers]
        return spans, sum(rows.count(asked, numbers[span.chain], span.first - 1, span.last) for span in there)
