"""The legal holds of a home: `audit/holds.json`, beside the chains it speaks of.

Every setting and lifting is a record of the log first; this file is what pruning reads. One that cannot be read holds
everything: nothing is pruned until it is put right.
"""

from pathlib import Path

import msgspec

from gateway.audit.audit_disk import Disk, RealDisk, replace_file
from policies.auditing.segment_life import Hold

HOLDS_NAME = "holds.json"
MAX_HOLDS = 1000
MAX_FILE_BYTES = 4 * 1024 * 1024


class HoldsBroken(Exception):
    """The file of holds is not one that Corral wrote; the message is one line with the remedy."""


class HoldBook:
    """The holds in the folder `audit`."""

    def __init__(self, audit: Path, disk: Disk | None = None) -> None:
        self._path = audit / HOLDS_NAME
        self._disk = disk or RealDisk()

    def holds(self) -> tuple[Hold, ...]:
        """Those in force, oldest first. Raises HoldsBroken."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES)
            return msgspec.json.decode(data, type=tuple[Hold, ...])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as fault:  # msgspec's faults are ValueErrors
            text = fault.strerror if isinstance(fault, OSError) else "it is not what Corral wrote"
            raise HoldsBroken(
                f"the legal holds in {self._path} cannot be read ({text}): put the file back from a backup; "
                "the log tells every hold, see audit.hold_set; nothing is pruned meanwhile"
            ) from None

    def save(self, holds: tuple[Hold, ...]) -> None:
        """Put these in the place of all, lastingly. Raises OSError."""
        replace_file(self._disk, self._path, msgspec.json.encode(holds) + b"\n")
