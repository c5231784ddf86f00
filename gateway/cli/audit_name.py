"""`corral audit name PSEUDONYM`: who stands behind a pseudonym of the log. That they were named is recorded first."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import CommandFault, emit

LOOKED_AT = 200
"""The newest records that are asked for a name; one is enough unless their keys are gone."""


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare `name`."""
    name = acts.add_parser(
        "name", parents=[common, reason_options(), approval_option()], help="who stands behind a pseudonym"
    )
    name.add_argument("pseudonym", metavar="PSEUDONYM", help="as in the log")
    name.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record, then look the name up in the records. Raises CommandFault."""
    done = call_guarded(arguments, "audit.name_person", {"pseudonym": arguments.pseudonym, **reason_of(arguments)})
    if done is None:
        return NOT_DONE
    found = _look_up(arguments)
    emit(arguments, done | found, f"{arguments.pseudonym}: {found['name'] or found['address']}")
    return 0


def _look_up(arguments: argparse.Namespace) -> dict[str, str]:
    """The name, and the address for whoever gave no name, from the newest record that still opens."""
    from gateway.cli.audit_filters import filter_of
    from gateway.cli.audit_index import opened_index
    from gateway.homes.home import open_home

    with opened_index(open_home(arguments.home)) as (index, records):
        found = index.search(filter_of({"actor": arguments.pseudonym}), LOOKED_AT, None)
        for line in found.lines:
            if told := _told(line.record, records):
                return told
    raise CommandFault(f"no record of {arguments.pseudonym} that is kept says a name any more")


def _told(record: dict[str, Any], records: Any) -> dict[str, str]:
    from policies.auditing.person_fields import ERASED

    opened = records.opened(record)
    actor, source = opened.get("actor", {}), opened.get("src", {})
    texts = {"name": actor.get("name") or actor.get("subject") or "", "address": source.get("ip", "")}
    kept = {name: "" if ERASED in text else text for name, text in texts.items()}
    return kept if any(kept.values()) else {}
