"""`corral audit export` hands records on: in the formats that other systems read, or with proofs for an auditor.

Chain by chain in the order of their seqs. The cursor at the end says how far each chain was read: with it the next
export goes on there, so that what is exported twice is only what was cut off in between (at least once). The record of
an export is lasting before its first line is handed out.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gateway.cli.audit_filters import asked_of, filter_of, filter_options
from gateway.cli.audit_index import opened_index
from gateway.cli.audit_questions import kept_conditions, why_of, why_options
from gateway.cli.audit_search import read_cursor
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import BAD_INPUT, CommandFault, ReaderGone, abandon_output, emit
from policies.auditing.conditions import told_to_log
from policies.auditing.exported import FORMATS


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit export`."""
    parents = [common, filter_options(), why_options(), approval_option()]
    export = acts.add_parser(
        "export", parents=parents, help="hand records to other systems, or with proofs to an auditor"
    )
    export.add_argument("--format", choices=FORMATS, default="jsonl", help="default: jsonl, the exact lines")
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="write there, whole or not at all (default: stdout)"
    )
    export.add_argument(
        "--cursor", default="", metavar="CHAIN:SEQ,...", help="go on behind the cursor of the last export"
    )
    export.add_argument("--saved", default="", metavar="NAME", help="with the conditions kept under this name")
    export.add_argument("--open", action="store_true", help="with names and addresses, so far as they are not erased")
    export.add_argument("--bundle", type=Path, metavar="DIR", help="the exact lines with proofs, in a new folder")
    export.set_defaults(run=run_export)


def run_export(arguments: argparse.Namespace) -> int:
    """Count, record, hand out."""
    from gateway.audit.anchor_words import home_words
    from gateway.audit.index.bundle import require_new
    from gateway.audit.index.export_lines import ExportLines
    from gateway.homes.home import open_home

    home, cursor = open_home(arguments.home), read_cursors(arguments.cursor)
    with opened_index(home) as (index, records), _faults():
        if arguments.bundle:
            require_new(arguments.bundle)
        asked = kept_conditions(home.path, arguments.saved) | asked_of(arguments)
        people = records.pseudonyms(asked.get("actor", ""))
        export = ExportLines(index, filter_of(asked, people), cursor)
        notes = index.refresh().notes
        with index.opened() as database:
            count = export.count(database)
            details = {"hits": count, "format": arguments.format, "opened": arguments.open}
            told = told_to_log(asked, people) | {"saved": arguments.saved, "bundle": bool(arguments.bundle)}
            done = call_guarded(arguments, "audit.export", told | details | why_of(arguments))
            if done is None:
                return NOT_DONE
            lines = export.lines(database)
            written = _bundle(arguments, home, lines) if arguments.bundle else _write(arguments, records, lines)
    ends = ",".join(f"{chain}:{seq}" for chain, seq in sorted(export.ends.items()))
    anchored = str(home_words(home.audit))
    data = {"records": written, "cursor": ends, "notes": notes, "anchored": anchored}
    data |= {name: done[name] for name in ("two_persons", "approval") if name in done}
    text = "\n".join([*notes, anchored, f"{written} records; to go on behind them: --cursor {ends}"])
    if arguments.output or arguments.bundle:
        emit(arguments, data, text)
    else:
        print(text, file=sys.stderr)
    return 0


def read_cursors(text: str) -> dict[str, int]:
    """How far each chain was exported. Raises CommandFault."""
    places = (read_cursor(part) for part in text.split(",") if part)
    return dict(place for place in places if place is not None)


def _write(arguments: argparse.Namespace, records: Any, lines: Iterator[Any]) -> int:
    """The lines in the format asked for, to the file or to stdout; how many."""
    if arguments.output is None:
        try:
            return _pour(arguments, records, lines, sys.stdout.buffer)
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as fault:
            abandon_output()
            raise CommandFault(f"cannot write to standard output: {fault.strerror}") from None
    fresh = arguments.output.with_name(f".{arguments.output.name}.part")
    try:
        with open(fresh, "xb", opener=_private) as file:
            written = _pour(arguments, records, lines, file)
        fresh.replace(arguments.output)
    except FileExistsError:
        raise CommandFault(f"{fresh} is there: another export writes it, or was cut off; remove it") from None
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return written


def _pour(arguments: argparse.Namespace, records: Any, lines: Iterator[Any], out: IO[bytes]) -> int:
    from gateway.audit.index.export_lines import pour

    return pour(lines, arguments.format, out, records if arguments.open else None)


def _bundle(arguments: argparse.Namespace, home: Any, lines: Iterator[Any]) -> int:
    from gateway.audit.index.bundle import write_bundle
    from gateway.audit.trusted_keys import read_trusted_keys

    return write_bundle(arguments.bundle, home.audit, lines, read_trusted_keys(home.audit, None))


def _private(path: str, flags: int) -> int:
    """Records are for their owner alone."""
    import os

    return os.open(path, flags, 0o600)


def _faults() -> Any:
    """What only an export can run into, as CommandFault."""
    import contextlib

    from gateway.audit.audit_key import UnfitAuditKey
    from gateway.audit.index.bundle import BundleFault
    from gateway.audit.log_proofs import NotProvable
    from policies.auditing.merkle import ProofWrong
    from policies.auditing.signed_note import NoteBroken

    @contextlib.contextmanager
    def told() -> Iterator[None]:
        try:
            yield
        except BundleFault as fault:
            raise CommandFault(str(fault), status=BAD_INPUT) from None
        except ProofWrong as fault:
            raise CommandFault(
                f"the lines are not those that were signed: {fault}: run 'corral audit verify'"
            ) from None
        except (NotProvable, NoteBroken, UnfitAuditKey) as fault:
            raise CommandFault(str(fault)) from None

    return told()
