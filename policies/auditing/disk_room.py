"""How full the log's disk is, and what follows from it.

Decides by numbers it is given; gateway/audit/disk_guard.py measures, records and acts.

Rules:
 (1) From 75 % on it is `low`: a warning. From 90 % on `alarm` (NIST 800-53r5 AU-5(1)). From 98 % on `full`: nothing is
     accepted any more, since what was served could soon not be recorded.
 (2) A disk that refused to take a record for want of room is `full`, whatever its numbers say (quotas).
 (3) It is better again only once it is one per cent below the bound, so that a disk at a bound does not flutter.
 (4) The used share is that which `df` shows: blocks kept for root do not count as free.
 (5) The reserve is 64 MiB, or 1 % of a small disk.
"""

from typing import Literal

from msgspec import Struct

Level = Literal["roomy", "low", "alarm", "full"]
LEVELS: tuple[Level, ...] = ("roomy", "low", "alarm", "full")
BOUNDS: tuple[tuple[Level, float], ...] = (("full", 98.0), ("alarm", 90.0), ("low", 75.0))
"""Level -> from how many per cent used on; the first row that fits decides."""
SLACK_PERCENT = 1.0
RESERVE_BYTES = 64 * 1024 * 1024


class Room(Struct, frozen=True):
    """A disk's bytes: used, and still free for a process that is not root."""

    used_bytes: int
    free_bytes: int

    @property
    def used_percent(self) -> float:
        """Rule (4). A disk that tells no size (some network disks) is taken to be empty: rule (2) is left then."""
        total = self.used_bytes + self.free_bytes
        return 100.0 * self.used_bytes / total if total > 0 else 0.0


def level_of(room: Room, before: Level = "roomy") -> Level:
    """Rules (1) and (3): the level now, when it was `before`."""
    rising, falling = _at(room.used_percent), _at(room.used_percent + SLACK_PERCENT)
    if _rank(rising) >= _rank(before):
        return rising
    return falling if _rank(falling) < _rank(before) else before


def reserve_bytes(room: Room, most_bytes: int = RESERVE_BYTES) -> int:
    """Rule (5)."""
    total = room.used_bytes + room.free_bytes
    return min(most_bytes, total // 100) if total > 0 else most_bytes


def event_of(level: Level, before: Level) -> str:
    """What a change of level is called in the log; empty for none."""
    if level == before:
        return ""
    if level == "full":
        return "disk.full"
    if before == "full" or _rank(level) < _rank(before):
        return "disk.back"
    return "disk.low"


def _at(percent: float) -> Level:
    return next((level for level, bound in BOUNDS if percent >= bound), "roomy")


def _rank(level: Level) -> int:
    return LEVELS.index(level)
