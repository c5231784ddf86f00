"""The acts on legal holds: `corral audit hold set|lift|list`. What a hold does: `policies.auditing.segment_life`."""

from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import LiftHold, ListHolds, SetHold, read_arguments
from gateway.admin.duration import read_moment_s
from gateway.audit.hold_book import MAX_HOLDS, HoldBook, HoldsBroken
from gateway.keys.key_views import show_time
from policies.audit_record import Change
from policies.auditing.segment_life import Hold

ID_BYTES = 6
Json = dict[str, Any]


def set_hold(arguments: Json, context: ActContext) -> Outcome:
    """From now on nothing of this time is pruned."""
    asked = read_arguments(arguments, SetHold)
    _require_reason(asked.reason)
    book, holds = _open(context)
    if len(holds) >= MAX_HOLDS:
        raise ActRefused("too_many_holds", f"there are {MAX_HOLDS} holds: lift those that are over")
    hold = Hold(
        id=context.random_bytes(ID_BYTES).hex(),
        from_s=_moment_s("--from", asked.since, context.now_s),
        to_s=_moment_s("--to", asked.until, context.now_s),
        set_s=context.now_s,
        reason=asked.reason,
        ticket=asked.ticket,
    )
    if hold.from_s is not None and hold.to_s is not None and hold.from_s > hold.to_s:
        raise ActRefused("bad_argument", "--from lies after --to: nothing would be held")
    return Outcome(
        result=view(hold),
        notes=(("audit.hold_set", _told(hold, asked.reason, asked.ticket)),),
        then=(partial(_save, book, (*holds, hold)),),
    )


def lift_hold(arguments: Json, context: ActContext) -> Outcome:
    """What the hold covered is pruned again when its time has come."""
    asked = read_arguments(arguments, LiftHold)
    _require_reason(asked.reason)
    book, holds = _open(context)
    found = next((hold for hold in holds if hold.id == asked.id), None)
    if found is None:
        raise ActRefused("hold_unknown", f"there is no hold {asked.id!r}; 'corral audit hold list' shows the ids")
    rest = tuple(hold for hold in holds if hold.id != found.id)
    return Outcome(
        result=view(found),
        notes=(("audit.hold_lifted", _told(found, asked.reason, asked.ticket)),),
        then=(partial(_save, book, rest),),
    )


def list_holds(arguments: Json, context: ActContext) -> Outcome:
    """The holds in force."""
    read_arguments(arguments, ListHolds)
    _, holds = _open(context)
    return Outcome(result={"holds": [view(hold) for hold in holds]})


def view(hold: Hold) -> Json:
    """A hold as the command shows it."""
    return {
        "id": hold.id,
        "from": show_time(hold.from_s),
        "to": show_time(hold.to_s),
        "set": show_time(hold.set_s),
        "reason": hold.reason,
        "ticket": hold.ticket,
    }


def _open(context: ActContext) -> tuple[HoldBook, tuple[Hold, ...]]:
    book = context.holds
    if book is None:
        raise ActRefused("holds_unreadable", "there is no audit log here to hold")
    try:
        return book, book.holds()
    except HoldsBroken as fault:
        raise ActRefused("holds_unreadable", str(fault)) from fault


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ActRefused("reason_missing", "a legal hold needs a reason that the log can tell: give --reason")


def _moment_s(name: str, text: str, now_s: float) -> float | None:
    if not text:
        return None
    try:
        return read_moment_s(text, now_s)
    except ValueError as fault:
        raise ActRefused("bad_argument", f"{name}: {fault}") from fault


def _save(book: HoldBook, holds: tuple[Hold, ...]) -> None:
    try:
        book.save(holds)
    except OSError as fault:
        raise ActRefused(
            "holds_unwritable", f"the legal holds cannot be written ({fault.strerror}): free space beside the audit log"
        ) from fault


def _told(hold: Hold, reason: str, ticket: str) -> Change:
    details = {"from": show_time(hold.from_s) or "", "to": show_time(hold.to_s) or ""}
    return Change(object=f"hold:{hold.id}", details=details, reason=reason, ticket=ticket)
