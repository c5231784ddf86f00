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
    audit_prove,
    audit_queries,
    audit_reconcile,
    audit_review,
    audit_search,
    audit_tail,
    audit_verify,
    audit_witness,
)


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Every `corral audit` verb."""
    group = commands.add_parser("audit", help="prove the audit log whole, search it, read it, hand it on")
    acts = group.add_subparsers(dest="act", required=True, metavar="ACT")
    audit_verify.add_command(acts, common)
    audit_prove.add_command(acts, common)
    audit_search.add_command(acts, common)
    audit_queries.add_command(acts, common)
    audit_export.add_command(acts, common)
    audit_tail.add_command(acts, common)
    audit_index.add_command(acts, common)
    audit_reconcile.add_command(acts, common)
    audit_witness.add_command(acts, common)
    audit_hold.add_command(acts, common)
    audit_hash.add_command(acts, common)
    audit_content.add_command(acts, common)
    audit_review.add_command(acts, common)
    audit_erase.add_command(acts, common)
