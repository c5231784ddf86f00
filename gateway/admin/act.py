"""What an admin act is: planned from what is known, recorded, then carried out, in that order.

An act's plan is a plain function of its arguments and an `ActContext`; it changes nothing and answers
an `Outcome`. `perform` writes the records first and changes the key store only once they are durable,
so no change can be missing in the log. A change that is refused is recorded too.

An act that needs two persons (policies/approval/two_persons.py) is planned like every other. Without an approval the
request for one is recorded and kept, and nothing else is done; with one, that is used up before the act's own records.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import msgspec

from gateway.admin.consents import Consents
from gateway.audit.hold_book import HoldBook
from gateway.audit.vault import Vault
from gateway.keys.key_changes import KeyChange, audit_change
from gateway.keys.key_store import KeyStore
from policies.approval.two_persons import ALONE, Asking, Effect, NotApproved, purpose_of, told_time
from policies.audit_record import Actor, Change, Decision, Entry, Stamp, admin_record
from policies.auditing.review import Span
from policies.errors import PolicyUnavailable
from policies.policy import Policy
from policies.worded import Line

Json = dict[str, Any]
REQUEST_ID_BYTES = 8


class ActRefused(Exception):
    """The act will not be done. `reason` is a stable code for the log, the message tells what and the remedy.

    What the console does too says its message in words for its pages (`policies.worded`).
    """

    def __init__(self, reason: str, message: Line) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ActContext:
    """All that acts work on. `record` returns once the entry is durable, or raises AuditUnavailable.

    `actor` is the person behind the act as the kernel knows them, `stamp` says when they asked. `peppers` reads the
    pepper file or raises UnfitPepper: only new keys need it, and without it a lockdown must still begin. `vault` is
    what can be opened of the log, None where nothing of it is. `consents` are those who must agree to some acts.
    `changes_of` counts what a person of that name changed in stretches of the log; it blocks.
    """

    keys: KeyStore
    policy: Policy
    peppers: Callable[[], Mapping[int, bytes]]
    random_bytes: Callable[[int], bytes]
    stamp: Stamp
    actor: Actor
    record: Callable[[Entry], Awaitable[None]]
    policy_hash: str = ""
    holds: HoldBook | None = None
    vault: Vault | None = None
    changes_of: Callable[[str, tuple[Span, ...]], int] | None = None
    consents: Consents = field(default_factory=Consents)

    @property
    def now_s(self) -> float:
        """Unix seconds."""
        return self.stamp.unix_us / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an act answers, its changes of keys, what else it tells the log, each under its event, and what it does.

    `then` is carried out once all records are durable, before keys are saved, and `slow` before it, in a thread; each
    raises PolicyUnavailable when the store refuses. A key's text stands in `result` and nowhere else.
    """

    result: Json
    changes: tuple[KeyChange, ...] = ()
    notes: tuple[tuple[str, Change], ...] = ()
    then: tuple[Callable[[], None], ...] = ()
    slow: tuple[Callable[[], None], ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its plan, and the event that the log names when it is refused (empty for acts that only read).

    `check` is what takes long to find out: it runs in a thread before the plan and changes nothing; no other act waits.
    """

    plan: Callable[[Json, ActContext], Outcome]
    refused_event: str = ""
    check: Callable[[Json, ActContext], None] | None = None


async def perform_one_of(acts: Mapping[str, Act], name: str, arguments: Json, context: ActContext) -> Json:
    """Do the act called `name` of `acts`, and answer its result.

    Raises ActRefused for what cannot be done, AuditUnavailable when a record could not be written
    (nothing was changed then), PolicyUnavailable when the key store refused the change.
    """
    act = acts.get(name)
    if act is None:
        raise ActRefused("act_unknown", f"no act is called {name!r}; there are: {', '.join(sorted(acts))}")
    try:
        if act.check is not None:
            await asyncio.to_thread(act.check, arguments, context)
    except ActRefused as fault:
        await _record_refusal(act.refused_event, name, arguments, context, fault.reason)
        raise
    async with context.keys.changing:
        try:
            outcome = act.plan(arguments, context)
            try:
                consent = _consent(name, outcome, arguments, context)
                if consent is None:
                    return await _ask(name, outcome, arguments, context)
            except NotApproved as fault:
                raise ActRefused(fault.reason, str(fault)) from fault
            outcome = _with_consent(outcome, consent)
            await _record_changes(outcome, arguments, context)
            for long_step in outcome.slow:
                await asyncio.to_thread(long_step)
            for step in outcome.then:
                step()
            context.keys.save(*(change.after for change in outcome.changes))
        except (ActRefused, PolicyUnavailable) as fault:
            if act.refused_event:
                await _record_refusal(act.refused_event, name, arguments, context, fault.reason)
            raise
    return outcome.result


def _consent(name: str, outcome: Outcome, arguments: Json, context: ActContext) -> dict[str, str] | None:
    """What the act's records say of who agreed; nothing where nobody must, None where it must be asked for first.

    What changes nothing needs nobody. Raises NotApproved.
    """
    approval = _text(arguments, "approval")
    if not outcome.notes or not purpose_of(name, arguments):
        if approval:
            raise NotApproved("approval_unneeded", "this is done without an approval: leave --approval out")
        return {}
    if not context.consents.signers:
        return {"two_persons": ALONE}
    if not approval:
        return None
    effects = _effects(outcome)
    names = context.consents.approved(approval, arguments, effects, context.actor.id, context.now_s)
    return {"approval": approval, "signers": ", ".join(names)}


def _with_consent(outcome: Outcome, consent: dict[str, str]) -> Outcome:
    if not consent:
        return outcome
    notes = tuple((event, _telling(note, consent)) for event, note in outcome.notes)
    told = {"two_persons": ALONE} if "two_persons" in consent else {"approval": consent["approval"]}
    return replace(outcome, notes=notes, result=outcome.result | told)


def _telling(note: Change, consent: dict[str, str]) -> Change:
    return msgspec.structs.replace(note, details={**note.details, **consent})


async def _ask(name: str, outcome: Outcome, arguments: Json, context: ActContext) -> Json:
    """Record what is asked for, keep it, and answer the text to sign. Raises NotApproved, AuditUnavailable."""
    consents, effects = context.consents, _effects(outcome)
    asking = Asking(
        id=context.random_bytes(REQUEST_ID_BYTES).hex(),
        home=consents.deployment(),
        act=name,
        asker=context.actor.name,
        asker_id=context.actor.id,
        asked_s=int(context.now_s),
    )
    request = consents.asked(asking, arguments, effects, context.now_s)
    told: dict[str, str | int | float | bool] = {
        **effects[0].details,
        "act": name,
        "request": asking.id,
        "ends": told_time(asking.ends_s),
        "text_sha256": sha256(request.text.encode()).hexdigest(),
    }
    change = Change(
        object=effects[0].object, details=told, reason=_text(arguments, "reason"), ticket=_text(arguments, "ticket")
    )
    decision = Decision(effect="allow", policy_hash=context.policy_hash)
    await context.record(admin_record("act.asked", context.stamp, context.actor, change, decision))
    consents.keep(request)
    return {"asked": {"id": asking.id, "ends": told_time(asking.ends_s), "text": request.text}}


def _effects(outcome: Outcome) -> list[Effect]:
    return [Effect(event, note.object, note.details) for event, note in outcome.notes]


async def _record_changes(outcome: Outcome, arguments: Json, context: ActContext) -> None:
    decision = Decision(effect="allow", policy_hash=context.policy_hash)
    for change in outcome.changes:
        known = context.keys.get(change.after.id)
        told = audit_change(change.after, known, _text(arguments, "reason"), _text(arguments, "ticket"))
        await context.record(admin_record(change.event, context.stamp, context.actor, told, decision))
    for event, note in outcome.notes:
        await context.record(admin_record(event, context.stamp, context.actor, note, decision))


async def _record_refusal(event: str, act: str, arguments: Json, context: ActContext, reason: str) -> None:
    effect = Decision(effect="error", reason=reason, policy_hash=context.policy_hash)
    told = Change(
        object=_object_of(act, arguments),
        details={"act": act, "team": _text(arguments, "team")},
        reason=_text(arguments, "reason"),
        ticket=_text(arguments, "ticket"),
    )
    await context.record(admin_record(event, context.stamp, context.actor, told, effect))


def _object_of(act: str, arguments: Json) -> str:
    """What the act would have changed, as far as its arguments say."""
    by_id = {"grants.end": "grant", "holds.lift": "hold", "acts.approve": "request"}.get(act, "key")
    for name, kind in (("id", by_id), ("actor", "actor"), ("jti", "token"), ("team", "team")):
        if subject := _text(arguments, name):
            return f"{kind}:{subject}"
    return f"act:{act}"


def _text(arguments: Json, name: str) -> str:
    """A short text among arguments that nobody has checked yet."""
    value = arguments.get(name)
    return value[:512] if isinstance(value, str) else ""
