"""For how long the log of a home is kept: `audit/retention.json`, beside the chains it speaks of.

config.yaml says what is wanted, this file what is in force: a shorter time needs two persons where signers are set
(policies/approval/retention_change.py). While it cannot be read, nothing is pruned.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.audit.audit_disk import Disk, RealDisk, replace_file
from policies.auditing.segment_life import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS

RETENTION_NAME = "retention.json"
MAX_FILE_BYTES = 4096


class RetentionBroken(Exception):
    """The file is not one that Corral wrote; the message is one line with the remedy."""


class _Written(Struct, frozen=True, forbid_unknown_fields=True):
    days: int


class RetentionBook:
    """The time in force in the folder `audit`."""

    def __init__(self, audit: Path, disk: Disk | None = None) -> None:
        self._path = audit / RETENTION_NAME
        self._disk = disk or RealDisk()

    def days(self) -> int | None:
        """How many days are in force, None where nothing says so. Raises RetentionBroken."""
        try:
            with self._path.open("rb") as file:
                written = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=_Written)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as fault:  # msgspec's faults are ValueErrors
            text = fault.strerror if isinstance(fault, OSError) else "it is not what Corral wrote"
            raise RetentionBroken(
                f"{self._path} cannot be read ({text}): nothing of the log is pruned; remove it, then run "
                "'corral audit retention DAYS'"
            ) from None
        return min(max(written.days, MIN_RETENTION_DAYS), MAX_RETENTION_DAYS)

    def days_to_prune_by(self) -> int:
        """What is in force; where that is not known, so long that nothing is pruned."""
        try:
            return self.days() or MAX_RETENTION_DAYS
        except RetentionBroken:
            return MAX_RETENTION_DAYS

    def save(self, days: int) -> None:
        """Put `days` in force, lastingly. Raises OSError."""
        replace_file(self._disk, self._path, msgspec.json.encode(_Written(days)) + b"\n")
