"""`corral audit index` brings the index up to date, or makes it anew; and what its commands share."""

import argparse
import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

from gateway.cli.output import BAD_INPUT, CommandFault, emit

TAIL_WORKS = "'corral audit tail' reads the log without an index"


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit index`."""
    index = acts.add_parser("index", parents=[common], help="bring the search index up to date, or make it anew")
    index.add_argument("--rebuild", action="store_true", help="from all segments, whatever the index holds now")
    index.set_defaults(run=run_index)


def run_index(arguments: argparse.Namespace) -> int:
    """Do it and say what was taken in."""
    from gateway.homes.home import open_home

    with opened_index(open_home(arguments.home)) as (index, _records):
        taken = index.rebuild() if arguments.rebuild else index.refresh()
    what = "made anew" if arguments.rebuild else "up to date"
    data = {"records": taken.records, "segments_gone": taken.segments_gone, "notes": taken.notes}
    emit(arguments, data, "\n".join([*taken.notes, f"the index is {what}: {taken.records} records taken in"]))
    return 0


@contextlib.contextmanager
def opened_index(home: Any) -> Iterator[tuple[Any, Any]]:
    """The index of a home and what opens its records. All that can go wrong with them is one CommandFault."""
    from gateway.audit.index.audit_index import AuditIndex
    from gateway.audit.index.index_file import SMALL_BYTES, IndexBroken, IndexFault, is_there, stored_bytes
    from gateway.audit.index.opened_records import PersonsNotOpened, opened_records
    from gateway.audit.index.saved_queries import QueryFault
    from policies.errors import AuditUnavailable

    try:
        if not is_there(home.audit) and (size := stored_bytes(home.audit)) > SMALL_BYTES:
            print(f"making the index of {size >> 20} MiB of log, once; this takes a while", file=sys.stderr)
        with opened_records(home) as records:
            yield AuditIndex(home.audit, records), records
    except (IndexFault, PersonsNotOpened) as fault:
        raise CommandFault(str(fault)) from None
    except IndexBroken as fault:
        raise CommandFault(f"{fault}: run 'corral audit index --rebuild'") from None
    except (QueryFault, ValueError) as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    except AuditUnavailable as fault:
        raise CommandFault(f"{home.persons} cannot be read ({fault.reason}): {TAIL_WORKS}") from None
    except sqlite3.Error as fault:
        text = f"the index {home.audit / 'index.db'} cannot be used ({fault}): free space or remove it; {TAIL_WORKS}"
        raise CommandFault(text) from None
    except OSError as fault:
        raise CommandFault(f"{fault.filename or home.audit}: {fault.strerror or fault}") from None
