"""Has an opened log signed: the home's audit key, the chain's checkpoints, and the log brought together."""

import errno
import os
from pathlib import Path

from gateway.audit.audit_disk import Disk
from gateway.audit.audit_key import UnfitAuditKey, open_audit_key
from gateway.audit.audit_log import AuditLog, AuditNotOpened
from gateway.audit.checkpoint_file import CheckpointsBroken
from gateway.audit.checkpointer import Checkpointer


def sign_log(log: AuditLog, folder: Path, disk: Disk | None = None) -> Checkpointer:
    """Have checkpoints made of the chain in `folder` (`<home>/audit/<instance>`), which `log` writes.

    To be called before the first record; where the audit key was rotated since the chain was last written, the first
    ones are those of the changes. Makes the home's audit key if it has none. Raises AuditNotOpened.
    """
    try:
        key = open_audit_key(folder.parent.parent)
        checkpointer = Checkpointer.open(folder, key, log.writer.tree, disk)
        if checkpointer.behind:
            log.tell_changes(checkpointer.behind)
            checkpointer.turn(key, log.writer.tree)
    except UnfitAuditKey as fault:
        raise AuditNotOpened(str(fault)) from None
    except CheckpointsBroken as fault:
        raise AuditNotOpened(
            f"the checkpoints of {folder} are damaged: {fault}: keep {folder.parent} as evidence under another name, "
            "then start again; a new log begins"
        ) from None
    except OSError as fault:
        raise AuditNotOpened(
            f"cannot write the checkpoints in {folder}: {os.strerror(fault.errno or errno.EIO)}: "
            "free space there or make it writable"
        ) from None
    log.attach(checkpointer)
    return checkpointer
