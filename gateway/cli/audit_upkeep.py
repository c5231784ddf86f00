"""`corral audit retention`, `rotate-key` and `retire`: for how long the log is kept, its key, chains that are done."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import emit


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare the three."""
    parents = [common, reason_options()]
    retention = acts.add_parser(
        "retention", parents=[*parents, approval_option()], help="keep the log for a shorter time, from now on"
    )
    retention.add_argument("days", type=int, metavar="DAYS", help="as audit.retention_days in config.yaml")
    retention.set_defaults(run=run_retention)
    rotate = acts.add_parser(
        "rotate-key", parents=[*parents, approval_option()], help="put a new key in the place of audit-key.pem"
    )
    rotate.set_defaults(run=run_rotate)
    retire = acts.add_parser("retire", parents=parents, help="say that nobody writes a chain any more")
    retire.add_argument("chain", metavar="CHAIN", help="the name of its folder under audit/")
    retire.set_defaults(run=run_retire)


def run_retention(arguments: argparse.Namespace) -> int:
    """Shorten the retention."""
    done = call_guarded(arguments, "audit.retention", {"days": arguments.days, **reason_of(arguments)})
    if done is None:
        return NOT_DONE
    emit(arguments, done, f"the log is kept for {done['to_days']} days: set audit.retention_days to that as well")
    return 0


def run_rotate(arguments: argparse.Namespace) -> int:
    """Rotate the audit key."""
    done = call_guarded(arguments, "audit.rotate_key", reason_of(arguments))
    if done is None:
        return NOT_DONE
    text = "the audit key is a new one: every chain records it and goes on under it; back up audit-key.pem, hand out "
    emit(arguments, done, text + "audit/audit.vkey and audit/key-changes to who watches the log")
    return 0


def run_retire(arguments: argparse.Namespace) -> int:
    """Retire a chain."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    done = call_act(open_home(arguments.home), "audit.retire", {"chain": arguments.chain, **reason_of(arguments)})
    emit(arguments, done, f"{done['chain']} is retired at size {done['size']}: its segments go when their time is over")
    return 0
