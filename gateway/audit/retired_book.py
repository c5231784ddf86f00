"""The chains of a home that nobody writes any more, by the operator's word: `audit/retired.json`.

Each retirement is a record of a living chain first (`chain.retired`). A retired chain is not looked after every minute,
and its segments go when their time is over; what is left of it is proven by `corral audit verify` like every other.
"""

from pathlib import Path

import msgspec

from gateway.audit.audit_disk import Disk, RealDisk, replace_file

RETIRED_NAME = "retired.json"
MAX_FILE_BYTES = 1024 * 1024


class RetiredBroken(Exception):
    """The file is not one that Corral wrote; the message is one line with the remedy."""


class RetiredBook:
    """The retired chains in the folder `audit`, by their folders' names."""

    def __init__(self, audit: Path, disk: Disk | None = None) -> None:
        self._path = audit / RETIRED_NAME
        self._disk = disk or RealDisk()

    def chains(self) -> tuple[str, ...]:
        """Their names. Raises RetiredBroken."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=tuple[str, ...])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as fault:  # msgspec's faults are ValueErrors
            text = fault.strerror if isinstance(fault, OSError) else "it is not what Corral wrote"
            raise RetiredBroken(
                f"{self._path} cannot be read ({text}): remove it, then retire its chains again; see chain.retired"
            ) from None

    def add(self, chain: str) -> None:
        """One more. Raises RetiredBroken, OSError."""
        self._save((*self.chains(), chain))

    def take_back(self, chain: str) -> bool:
        """A chain that is written again is not retired; whether it was. Raises RetiredBroken, OSError."""
        known = self.chains()
        if chain in known:
            self._save(tuple(each for each in known if each != chain))
        return chain in known

    def _save(self, chains: tuple[str, ...]) -> None:
        replace_file(self._disk, self._path, msgspec.json.encode(chains) + b"\n")
