"""`corral audit tail` shows the log's latest records to people.

It reads the files alone, so it works while the gateway runs, after it crashed, on a copy, and when nothing more can be
recorded. It records nothing either: whoever can run it can read the files.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.audit.index.opened_records import OpenedRecords, PersonsNotOpened, opened_records
from gateway.cli.audit_chains import FoundChains, find_log
from gateway.cli.audit_filters import asked_of, filter_of, filter_options
from gateway.cli.audit_lines import Chains, one_line, read_record
from gateway.cli.output import BAD_INPUT, CommandFault, say
from gateway.cli.shown_names import names_are_shown
from gateway.homes.home import Home
from policies.auditing.search_filter import Filter, matches


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit tail`."""
    parents = [common, filter_options()]
    tail = acts.add_parser("tail", parents=parents, help="the latest records, merged over all gateways")
    tail.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a chain or an audit folder")
    tail.add_argument("-n", "--lines", type=int, default=20, help="how many records (default 20)")
    tail.add_argument("-f", "--follow", action="store_true", help="go on with new records until interrupted")
    tail.set_defaults(run=run_tail)


def run_tail(arguments: argparse.Namespace) -> int:
    """Print the latest records that fit, as stored with --json."""
    if arguments.lines < 0:
        raise CommandFault("--lines must not be negative", status=BAD_INPUT)
    log = find_log(arguments)
    names = names_are_shown(Home(log.audit.parent))
    with _opening(log) as records:
        asked = asked_of(arguments)
        wanted = _Wanted(filter_of(asked, records.pseudonyms(asked.get("actor", ""))), records)
        chains = Chains(list(log.folders), wanted if asked else None)
        try:
            for line in chains.latest(arguments.lines):
                _show(arguments, line, records, names=names)
            if arguments.follow:
                with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                    for line in chains.follow():
                        _show(arguments, line, records, names=names)
        except OSError as fault:
            raise CommandFault(f"cannot read the audit log: {fault}") from None
    return 0


class _Wanted:
    """Whether a line is one that was asked for."""

    def __init__(self, asked: Filter, records: OpenedRecords) -> None:
        self._asked = asked
        self._records = records

    def __call__(self, line: bytes) -> bool:
        return matches(self._asked, self._records.facts(read_record(line)))


@contextlib.contextmanager
def _opening(log: FoundChains) -> Iterator[OpenedRecords]:
    """What opens the records of the home that the chains lie in; a copy without its keys opens nothing."""
    with contextlib.ExitStack() as held:
        try:
            records = held.enter_context(opened_records(Home(log.audit.parent)))
        except PersonsNotOpened:
            records = OpenedRecords()
        yield records


def _show(arguments: argparse.Namespace, line: bytes, records: OpenedRecords, *, names: bool) -> None:
    if arguments.json:
        say(line.decode("ascii", "backslashreplace"))
    else:
        records.refresh()
        say(one_line(records.shown(read_record(line), names=names)))
