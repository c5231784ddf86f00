"""Once a minute a gateway looks at the other chains of its home, and its own log says what it saw.

What is worth a record is decided in policies/auditing/chain_seen.py. Gateways on other hosts have homes of their own;
each of their logs is a deployment for itself, held together by the witness.
"""

import base64
from collections.abc import Callable
from pathlib import Path

from gateway.audit.audit_key import VKEY_NAME, UnfitAuditKey, read_key_changes, read_vkeys
from gateway.audit.checkpoint_file import last_note
from gateway.audit.retired_book import RetiredBook, RetiredBroken
from policies.auditing.chain_seen import ChainState, ChainWatch, Details
from policies.auditing.checkpoint import instance_of, open_checkpoint
from policies.auditing.key_change import followed
from policies.auditing.signed_note import Ed25519Verifier, NoteBroken, open_note

EVERY_S = 60.0


class ChainLookout:
    """The other chains under the folder `audit`, as seen from the chain `own`. `look` each second; it looks if due."""

    def __init__(self, audit: Path, own: str, note: Callable[[str, Details], None]) -> None:
        self._audit = audit
        self._own = own
        self._note = note
        self._watch = ChainWatch()
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        """Record what is new or missing, if a minute has passed. `now_s` on a clock that never goes back."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        verifiers = self._verifiers()
        origins = {each.name for each in verifiers} | self._watch.expected
        quiet = {self._own, *self._retired()}
        others = [origin for origin in origins if instance_of(origin) not in quiet]
        for notice in self._watch.look({origin: self._state(origin, verifiers) for origin in others}):
            self._note(notice.event, notice.details)

    def _verifiers(self) -> list[Ed25519Verifier]:
        """The listed keys and those they lead to; none where the list cannot be read: all that was seen is missed."""
        try:
            return list(followed(read_vkeys(self._audit / VKEY_NAME), read_key_changes(self._audit)))
        except (OSError, UnfitAuditKey):
            return []

    def _retired(self) -> tuple[str, ...]:
        """Chains that nobody writes any more; none where that cannot be read, and then all are looked after."""
        try:
            return RetiredBook(self._audit).chains()
        except RetiredBroken:
            return ()

    def _state(self, origin: str, verifiers: list[Ed25519Verifier]) -> ChainState:
        mine = [each for each in verifiers if each.name == origin]
        try:
            note = last_note(self._audit / instance_of(origin))
            if note is None:
                return ChainState(None, why="gone")
            latest = open_checkpoint(note, mine).checkpoint
            signature = open_note(note, mine).verified[0]
        except OSError:
            return ChainState(None, why="unreadable")
        except NoteBroken:
            return ChainState(None, why="not_signed")
        return ChainState(latest, base64.b64encode(signature.key_id + signature.signature).decode())
