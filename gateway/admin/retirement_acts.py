"""The act `corral audit retire CHAIN`: nobody writes this chain any more.

Rules:
- A chain that is not there, that somebody writes, or whose last checkpoint does not verify is not retired: what is
  missing must be missed, and what is damaged must be seen.
- The record stands in a living chain and says the last checkpoint: what was there when it was retired.
- The chain's last segment ends with that, so that retention can remove all that came before.
- A gateway that takes its place later goes on in it, and it is retired no more.
"""

import asyncio
import base64
from functools import partial
from pathlib import Path
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import RetireChain, read_arguments
from gateway.audit.audit_files import is_chain
from gateway.audit.audit_log import AuditNotOpened
from gateway.audit.audit_place import hold_chain
from gateway.audit.log_proofs import NotProvable, latest_checkpoint
from gateway.audit.retired_book import RetiredBook, RetiredBroken
from gateway.audit.retired_chains import ChainInUse, end_chain
from gateway.audit.trusted_keys import read_trusted_keys
from gateway.configuration.settings import AuditSettings
from policies.audit_record import Actor, Change, Decision, admin_record, clean
from policies.auditing.checkpoint import Checkpoint
from policies.auditing.signed_note import NoteBroken
from policies.errors import AuditUnavailable

Json = dict[str, Any]


def retire_chain(arguments: Json, context: ActContext) -> Outcome:
    """Say that nobody writes a chain any more."""
    asked = read_arguments(arguments, RetireChain)
    audit = context.consents.home / "audit"
    book = RetiredBook(audit)
    checkpoint = _last_of(audit, asked.chain)
    try:
        known = asked.chain in book.chains()
    except RetiredBroken as fault:
        raise ActRefused("retired_unreadable", str(fault)) from fault
    if known:
        raise ActRefused("chain_retired", f"{asked.chain} is retired already")
    details: dict[str, str | int | float | bool] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": base64.b64encode(checkpoint.root).decode(),
    }
    change = Change(object=f"chain:{asked.chain}", details=details, reason=asked.reason, ticket=asked.ticket)
    told = Change(object=f"chain:{asked.chain}", details=details)
    allow = Decision(effect="allow", policy_hash=context.policy_hash)
    last = admin_record("chain.retired", context.stamp, Actor(kind="system"), told, allow)
    return Outcome(
        result={"chain": asked.chain, "origin": checkpoint.origin, "size": checkpoint.size},
        notes=(("chain.retired", change),),
        slow=(partial(_end, audit / asked.chain, last),),
        then=(partial(_add, book, asked.chain),),
    )


def _last_of(audit: Path, chain: str) -> Checkpoint:
    """The last checkpoint of a chain that nobody holds. Raises ActRefused."""
    folder = audit / chain
    if folder.parent != audit or folder.name != chain or chain in (".", "..") or not is_chain(folder):
        raise ActRefused("chain_unknown", f"there is no chain {clean(chain)!r} in {audit}")
    place = hold_chain(folder)
    if place is None:
        raise ActRefused("chain_written", f"{chain} is being written: only a chain that nobody writes can be retired")
    place.close()
    try:
        return latest_checkpoint(folder, read_trusted_keys(audit).of(chain)).checkpoint
    except (NotProvable, NoteBroken, OSError) as fault:
        raise ActRefused("chain_unproven", f"{chain}: {fault}: see 'corral audit verify'") from fault


def _end(folder: Path, last: dict[str, Any]) -> None:
    """In a thread, which has no loop of its own. Raises ActRefused."""
    try:
        asyncio.run(end_chain(folder, AuditSettings().segment_bytes, last))
    except (ChainInUse, AuditNotOpened) as fault:
        raise ActRefused("chain_not_ended", str(fault)) from fault
    except AuditUnavailable as fault:
        raise ActRefused("chain_not_ended", f"{folder} cannot be written ({fault.reason})") from fault


def _add(book: RetiredBook, chain: str) -> None:
    try:
        book.add(chain)
    except OSError as fault:
        text = f"the retired chains cannot be written ({fault.strerror}): free space beside the audit log"
        raise ActRefused("retired_unwritable", text) from fault
