"""Follows the content of one request, from its prompt to the end of its answer, as its team's policy has it.

What is digested or kept is decided by `policies.auditing.content_policy`. Long texts are worked on in a thread, so
that no other request waits for them.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from msgspec import structs

from gateway.audit.content_store import ContentStore, Owner
from gateway.audit.persons import Persons
from policies.audit_record import Content, Entry
from policies.auditing.content_policy import (
    Collected,
    WordDigest,
    context_digest,
    document,
    newest_text,
    text_digest,
)
from policies.auditing.person_fields import actors_of
from policies.call import Call, Event, Text
from policies.errors import AuditUnavailable
from policies.policy import TeamAudit

LONG_CHARS = 32 * 1024
"""A prompt up to this length is digested in less than a millisecond."""

T = TypeVar("T")


class Capture:
    """The content of one request. `take` hears every event of its answer."""

    def __init__(self, call: Call, team: str, policy: TeamAudit, key: bytes) -> None:
        self.call = call
        self.team = team
        self.policy = policy
        self.told = Content(policy=policy.content)
        self.collected = Collected() if policy.content in ("redacted", "full") else None
        self.keeping: asyncio.Task[str] | None = None
        """The writing of what is kept: begun once, whoever waits for it and is cancelled meanwhile."""
        self._key = key
        self._answer = WordDigest(key)

    def take(self, event: Event) -> None:
        """One event of the engine."""
        if isinstance(event, Text) and self.policy.content != "none":
            self._answer.add(event.text)
        if self.collected is not None:
            self.collected.take(event)

    async def digest_prompt(self) -> Content:
        """What the record of the authorized request says. None of the texts is kept yet."""
        if self.policy.content != "none" and not self.told.req_digest:
            text = newest_text(self.call)
            newest, context = await _aside(lambda: self._digests(text), long=len(text) > LONG_CHARS)
            self.told = structs.replace(self.told, req_digest=newest, context_digest=context)
        return self.told

    def answered(self) -> Content:
        """The same with the answer's digest, once it is over."""
        return structs.replace(self.told, resp_digest=self._answer.hex())

    def _digests(self, text: str) -> tuple[str, str]:
        return text_digest(self._key, text), context_digest(self._key, self.call)


class ContentKeeper:
    """Begins captures, and keeps the texts of those whose policy says so."""

    def __init__(self, store: ContentStore, persons: Persons) -> None:
        self._store = store
        self._persons = persons

    def begin(self, call: Call, team: str, policy: TeamAudit) -> Capture:
        """The capture of an authorized call."""
        return Capture(call, team, policy, self._store.digest_key(team))

    async def keep(self, capture: Capture, entry: Entry, at_s: float) -> Content:
        """The content of a request that is over, lasting where it is kept at all. Raises AuditUnavailable.

        `entry` is the record of its end, as it is before it is sealed: the text belongs to whom that names.
        """
        if capture.collected is None:
            return capture.answered()
        if capture.keeping is None:
            pseudonyms = " ".join(map(self._persons.pseudonym, actors_of(entry)))
            owner = Owner(request_id=entry["req_id"], team=capture.team, pseudonym=pseudonyms)
            capture.keeping = asyncio.create_task(asyncio.to_thread(self._keep, capture, owner, at_s))
        try:
            ref = await asyncio.shield(capture.keeping)
        except OSError as fault:
            raise AuditUnavailable("audit_content") from fault
        return structs.replace(capture.answered(), blob_ref=ref)

    def _keep(self, capture: Capture, owner: Owner, at_s: float) -> str:
        if capture.collected is None:
            raise TypeError("nothing was collected of this request")
        kept = document(capture.call, capture.collected, redact=capture.policy.content == "redacted")
        return self._store.keep(owner, kept, at_s, capture.policy.content_retention_days)


async def _aside(work: Callable[[], T], *, long: bool) -> T:
    return await asyncio.to_thread(work) if long else work()
