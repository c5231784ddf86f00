"""The sign-off of a review: which stretch of each chain somebody looked at, and who may not sign.

Decides what a sign-off names and who it may not be from; the act that records it is gateway/admin/review_acts.py.
Rules:
 (1) A sign-off names what was asked, and of every chain the first and the last seq that was looked at: without them
     nobody could say later whether a record was there at the time.
 (2) It has a remark. A signature without a word of what was found says nothing.
 (3) No sign-off by who changed anything in what is signed: separation of duties (NIST 800-53 AC-5). Changes are those
     of `questions.CHANGES`, found in the log itself; what was asked of the log does not narrow them.
 (4) No sign-off by a key: a signature is a person's.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from policies.audit_record import Actor
from policies.errors import NotAuthorized
from policies.worded import worded

MAX_CHAINS = 24
"""With the other details of the record that is within its 32 (`policies.audit_record.MAX_DETAILS`)."""
MAX_TEXT = 4096
_SPAN = re.compile(r"([^\s,:]{1,128}):([0-9]{1,18})-([0-9]{1,18})")


class Span(Struct, frozen=True, order=True):
    """The records `first` to `last` of one chain, both among them."""

    chain: str
    first: int
    last: int

    @property
    def text(self) -> str:
        """CHAIN:FIRST-LAST."""
        return f"{self.chain}:{self.first}-{self.last}"


def spans_text(spans: Sequence[Span]) -> str:
    """What `read_spans` reads."""
    return ",".join(span.text for span in spans)


def read_spans(text: str) -> tuple[Span, ...]:
    """The stretches in a text. Raises ValueError with a sentence for an operator."""
    found = [_SPAN.fullmatch(part) for part in text[:MAX_TEXT].split(",") if part]
    spans = tuple(sorted(Span(each[1], int(each[2]), int(each[3])) for each in found if each))
    if len(spans) < len(found) or not spans or any(span.first > span.last for span in spans):
        line = f"{text[:80]!r} names no stretch of the log: write CHAIN:FIRST-LAST,..."
        raise ValueError(worded(line, "spans_unfit", given=text[:80]))
    if len({span.chain for span in spans}) < len(spans):
        raise ValueError(worded("a chain is named twice: one stretch of each", "spans_twice"))
    if len(spans) > MAX_CHAINS:
        line = f"a sign-off names at most {MAX_CHAINS} chains, not {len(spans)}: sign a shorter time"
        raise ValueError(worded(line, "spans_many", most=MAX_CHAINS, count=len(spans)))
    return spans


def span_details(spans: Sequence[Span]) -> dict[str, str]:
    """Rule (1) as details of the record."""
    return {f"range_{number}": span.text for number, span in enumerate(spans, 1)}


def require_reviewer(actor: Actor, own_changes: int) -> None:
    """Raises NotAuthorized by rules (3) and (4). `own_changes` is how many in those stretches are the actor's."""
    if actor.kind not in ("operator", "subject"):
        raise NotAuthorized("review_by_no_person")
    if own_changes:
        raise NotAuthorized("review_of_own_changes")
