"""`corral audit ...`: the verbs, each in a file of its own."""

import argparse
from typing import Any

from gateway.cli import (
    audit_content,
    audit_erase,
    audit_export,
    audit_hash,
    audit_hold,
    audit_index,
    audit_name,
    audit_prove,
    audit_queries,
    audit_reconcile,
    audit_report,
    audit_review,
    audit_search,
    audit_tail,
    audit_upkeep,
    audit_verify,
    audit_witness,
)

VERBS = (
    audit_verify,
    audit_prove,
    audit_search,
    audit_queries,
    audit_export,
    audit_tail,
    audit_index,
    audit_reconcile,
    audit_report,
    audit_witness,
    audit_hold,
    audit_upkeep,
    audit_hash,
    audit_name,
    audit_content,
    audit_review,
    audit_erase,
)
"""In the order of the help."""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Every `corral audit` verb."""
    group = commands.add_parser("audit", help="prove the audit log whole, search it, read it, hand it on")
    acts = group.add_subparsers(dest="act", required=True, metavar="ACT")
    for verb in VERBS:
        verb.add_command(acts, common)
