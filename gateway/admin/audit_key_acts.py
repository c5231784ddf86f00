"""The act `corral audit rotate-key`: a new key signs the log's checkpoints from now on. What that means for the log:
gateway/audit/audit_key.py, policies/auditing/key_change.py.
"""

import base64
from functools import partial
from pathlib import Path
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import RotateAuditKey, read_arguments
from gateway.audit.audit_key import UnfitAuditKey, open_audit_key, rotate_audit_key
from policies.audit_record import Change

Json = dict[str, Any]


def rotate_key(arguments: Json, context: ActContext) -> Outcome:
    """Put a new key in the place of the audit key; every chain records the change itself, as both keys signed it."""
    asked = read_arguments(arguments, RotateAuditKey)
    try:
        key = open_audit_key(context.consents.home)
    except UnfitAuditKey as fault:
        raise ActRefused("audit_key_unfit", str(fault)) from fault
    old = base64.b64encode(key.public_key).decode()
    change = Change(object="audit:key", details={"old_key": old}, reason=asked.reason, ticket=asked.ticket)
    return Outcome(
        result={"old_key": old},
        notes=(("audit_key.change_ordered", change),),
        then=(partial(_rotate, context.consents.home),),
    )


def _rotate(home: Path) -> None:
    try:
        rotate_audit_key(home)
    except UnfitAuditKey as fault:
        raise ActRefused("audit_key_unfit", str(fault)) from fault
    except OSError as fault:
        text = f"the new audit key cannot be written ({fault.strerror}): free space beside the old one; it still holds"
        raise ActRefused("audit_key_unwritable", text) from fault
