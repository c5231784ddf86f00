"""Complaints about the disk of the audit log, which need no running gateway."""

from collections.abc import Iterator
from pathlib import Path

from gateway.audit.disk_guard import measure_room
from gateway.audit.hold_book import HoldBook, HoldsBroken
from gateway.doctor.complaint import Complaint
from policies.auditing.disk_room import Room, level_of

WHY = {
    "low": "it is low; from 98 % on no request is served any more",
    "alarm": "it is nearly full; from 98 % on no request is served any more",
    "full": "no request is served, since what was served could soon not be recorded",
}


def audit_disk_complaints(audit: Path) -> Iterator[Complaint]:
    """Of the disk that the folder `audit` is on, and of its legal holds."""
    try:
        yield from room_complaints(audit, measure_room(audit))
        HoldBook(audit).holds()
    except OSError as fault:
        why, remedy = "nothing can be recorded there, so nothing is served", "make the folder readable for this user"
        yield Complaint(check="audit", what=f"{audit}: {fault.strerror}", why=why, remedy=remedy)
    except HoldsBroken as fault:
        why, remedy = "nothing of the log is pruned meanwhile", "put the file back from a backup"
        yield Complaint(check="audit", what=str(fault), why=why, remedy=remedy)


def room_complaints(audit: Path, room: Room) -> Iterator[Complaint]:
    """What follows from how full that disk is."""
    level = level_of(room)
    if level != "roomy":
        yield Complaint(
            check="audit",
            what=f"the disk of {audit} is {room.used_percent:.0f} % full",
            why=WHY[level],
            remedy="free space on it, or move the home to a larger one; see docs/audit-log.md",
        )
