"""What a caller wishes of the queue, and what becomes of it: it may tighten what the policy says, never loosen it.

Decides from four request headers and the team's policy on the terms a request is queued by; who is let in on these
terms is the queue's to decide (policies/admission.py). The rules:

 (1) X-SLO-TTFT-Ms    the first token within so many milliseconds of the request's arrival, or be refused at once. The
                      smaller of it and the team's promise holds. `x-llm-d-slo-ttft-ms` is the same header.
 (2) X-Deadline-Ms    the whole answer within so many: it bounds the wait, and the answer ends then (`length`).
 (3) X-Priority       the name of a band. Below the team's own it is taken, and gives way without a part in what that
                      band is guaranteed (policies/admitting/bands.py); anything else (a higher band, a name that
                      is none, a number) is the team's own band. It is a hint, and RFC 9218 section 4 has servers
                      ignore what they do not know in one: a client that sends such a header to all its servers must not
                      fail here, and an error for names that are none would list the others.
 (4) X-Queue-Events   1 asks for the place in the queue while a streamed answer waits; 0 is its default.
 (5) A value that is none of these is refused with the header's name: whoever sets a deadline must learn that it
     does not hold. A header that stands twice is refused too: two readers would pick two.
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from policies.errors import BadRequest
from policies.policy import Band, Team

Header = tuple[bytes, bytes]

FIRST_TOKEN = "X-SLO-TTFT-Ms"  # noqa: S105 (the name of a header)
DEADLINE = "X-Deadline-Ms"
PRIORITY = "X-Priority"
EVENTS = "X-Queue-Events"
MAX_MS = 86_400_000
"""A day; nothing waits that long, so a larger number is a mistake of units."""

_NAMES = {
    b"x-slo-ttft-ms": FIRST_TOKEN,
    b"x-llm-d-slo-ttft-ms": FIRST_TOKEN,
    b"x-deadline-ms": DEADLINE,
    b"x-priority": PRIORITY,
    b"x-queue-events": EVENTS,
}
_MILLISECONDS = re.compile(r"[0-9]{1,8}")


class QueueWish(Struct, frozen=True, kw_only=True):
    """The headers, read. Seconds from the request's arrival; None and "" for what was not said."""

    first_token_s: float | None = None
    deadline_s: float | None = None
    band: str = ""
    events: bool = False


class QueueTerms(Struct, frozen=True, kw_only=True):
    """On what terms a request is queued, in seconds from now.

    `promise_s` is the time to first token that is promised, None for none; not `enforced`, it refuses nothing.
    `max_wait_s` is the longest wait for a slot.
    """

    band: str
    promise_s: float | None
    enforced: bool
    max_wait_s: float


def read_queue_wish(headers: Sequence[Header]) -> QueueWish:
    """Rules 1 to 5. Raises BadRequest."""
    said: dict[str, str] = {}
    for raw_name, value in headers:
        name = _NAMES.get(raw_name.lower())
        if name in said:
            raise BadRequest("queue_header_repeated", f"{name} may stand only once")
        if name is not None:
            said[name] = value.decode("latin-1").strip()
    return QueueWish(
        first_token_s=_seconds(FIRST_TOKEN, said),
        deadline_s=_seconds(DEADLINE, said),
        band=said.get(PRIORITY, ""),
        events=_switch(EVENTS, said),
    )


def queue_terms(wish: QueueWish, team: Team, bands: Mapping[str, Band], spent_s: float = 0.0) -> QueueTerms:
    """The terms for a request of `team` that came `spent_s` ago; `bands` are the policy's, highest first.

    A promise that only reports refuses nothing, but a caller's own tighter one does: it asked for that. A looser one
    than a promise that only reports still bounds the wait.
    """
    own, wished = team.first_token_s, wish.first_token_s
    tighter = wished is not None and (own is None or wished <= own)
    waits_s = [each - spent_s for each in (wished, wish.deadline_s) if each is not None]
    promises_s = [each - spent_s for each in (own, wished) if each is not None]
    return QueueTerms(
        band=_band(wish.band, team.band, list(bands)),
        promise_s=max(min(promises_s), 0.0) if promises_s else None,
        enforced=tighter or team.promise_mode == "enforce",
        max_wait_s=max(min([team.max_wait_s, *waits_s]), 0.0),
    )


def answer_limit_s(wish: QueueWish, team: Team, spent_s: float) -> float:
    """How long the answer to a request that came `spent_s` ago may still be written (rule 2)."""
    if wish.deadline_s is None:
        return team.max_answer_s
    return min(team.max_answer_s, max(wish.deadline_s - spent_s, 0.0))


def _seconds(name: str, said: Mapping[str, str]) -> float | None:
    if name not in said:
        return None
    value = int(said[name]) if _MILLISECONDS.fullmatch(said[name]) else 0
    if not 1 <= value <= MAX_MS:
        raise BadRequest("queue_header_value", f"{name} must be a whole number of milliseconds from 1 to {MAX_MS}")
    return value / 1000


def _switch(name: str, said: Mapping[str, str]) -> bool:
    value = said.get(name, "0")
    if value not in ("0", "1"):
        raise BadRequest("queue_header_value", f"{name} must be 1 or 0")
    return value == "1"


def _band(asked: str, own: str, bands: Sequence[str]) -> str:
    if asked not in bands or own not in bands:
        return own
    return asked if bands.index(asked) > bands.index(own) else own
