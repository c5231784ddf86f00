"""`corral audit reconcile` holds the workers' and upstreams' own counts against the records.

Exit 0: nothing differs; 1: differences.

Reads the files alone, as `audit verify` does; a gateway that runs goes on. What it finds is decided in
policies/auditing/reconcile.py.
"""

import argparse
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.audit_chains import find_chains
from gateway.cli.output import BAD_INPUT, CommandFault, emit, table
from policies.auditing.reconcile import Reconciler
from policies.auditing.reconcile_records import Difference, Reconciliation, read_line, within
from policies.auditing.search_filter import read_time_us

NOTHING, DIFFERENCES = 0, 1
MAX_SHOWN = 200
"""Differences in words; --json has all."""


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit reconcile`."""
    text = "compare the records with what workers and upstreams counted: 0 nothing, 1 differences"
    parser = acts.add_parser("reconcile", parents=[common], help=text)
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a home or an audit folder")
    for name in ("--from", "--to"):
        parser.add_argument(name, dest=f"{name[2:]}_time", default="", metavar="TIME", help="differences of this time")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what differs. Raises CommandFault."""
    since, until = (_time(text) for text in (arguments.from_time, arguments.to_time))
    found = within(reconcile(find_chains(arguments)), since, until)
    status = DIFFERENCES if found.differences else NOTHING
    emit(arguments, {"status": status, **msgspec.to_builtins(found)}, describe(found))
    return status


def reconcile(chains: list[Path]) -> Reconciliation:
    """The judgement over the chains in these folders. Raises CommandFault."""
    reconciler = Reconciler()
    for chain in chains:
        try:
            _feed(reconciler, chain)
        except (OSError, msgspec.MsgspecError) as fault:
            raise CommandFault(f"cannot read {chain}: {fault}: run 'corral audit verify'", status=BAD_INPUT) from None
    return reconciler.result()


def describe(found: Reconciliation) -> str:
    """The finding for people."""
    if not found.last_count:
        return "nothing was counted yet: the workers' counts are written each minute while a gateway serves"
    rows: list[tuple[str, ...]] = [
        (each.target, str(each.recorded), str(each.counted), f"{each.recorded_output_tokens:,}")
        for each in found.targets
    ]
    parts = [table(("target", "recorded", "counted", "output tokens"), rows)] if rows else []
    parts += [_sentence(each) for each in found.differences[:MAX_SHOWN]]
    if len(found.differences) > MAX_SHOWN:
        parts.append(f"... and {len(found.differences) - MAX_SHOWN} more (see --json)")
    last = f"last count {found.last_count}"
    waiting = f", {found.running} still running" if found.running else ""
    later = f", {found.uncounted} recorded since" if found.uncounted else ""
    word = f"{len(found.differences)} differences" if found.differences else "nothing differs"
    return "\n".join([*parts, f"{word}; {last}{later}{waiting}"])


def _sentence(found: Difference) -> str:
    where = " ".join(
        part for part in (found.target, found.request_id or found.life, f"({found.who or 'nobody'})") if part
    )
    when = f"{found.since or 'its start'} to {found.until}" if found.since != found.until else found.until
    return f"DIFFERENCE {where}: {found.text} [{when}]"


def _feed(reconciler: Reconciler, chain: Path) -> None:
    from gateway.audit.audit_files import read_lines, segments

    runs = _is_held(chain)  # before reading: one that ends meanwhile has only more to say than was read
    found = segments(chain)
    reconciler.begin(chain.name, max(found[0].first_seq, 0) if found else 0)
    for segment in found:
        for stored in read_lines(segment):
            if stored.data.endswith(b"\n"):
                reconciler.take(read_line(stored.data))
    reconciler.end(runs=runs)


def _is_held(chain: Path) -> bool:
    """Whether a gateway holds this chain's place now; False for a copy.

    The kernel's list is read: to try the lock would keep a gateway that starts in this moment out of its place.
    """
    from gateway.audit.audit_place import LOCK_NAME

    try:
        facts = (chain / LOCK_NAME).stat()
        locks = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return False
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    return any(" FLOCK " in line and place in line.split() for line in locks)


def _time(text: str) -> str:
    """A time as records have it; empty for none. Raises CommandFault."""
    if not text:
        return ""
    try:
        unix_us = read_time_us(text, time.time_ns() // 1000)
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    return datetime.fromtimestamp(unix_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
