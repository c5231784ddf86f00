"""Two persons for what one alone must not do: which acts these are, what is signed, and when an act may be done.

Decides; who asks is known from the kernel (gateway/admin/admin_socket.py), whose a signature is from
policies/policy_file/ssh_signature.py, and requests are kept by gateway/admin/request_book.py. What is changed in
policy.yaml is decided in policies/approval/content_change.py.

Rules:
 (1) Two persons are needed to lift a legal hold, read a kept text, name the person behind a pseudonym, export records
     with names, shorten the log's retention, rotate the audit key, and reopen after a lockdown (`purpose_of`).
 (2) Where `policy.signers` names nobody, one admin acts alone, and the record and the answer say so (`ALONE`).
 (3) Otherwise the act is asked for first. What is asked is one text: the home, a random id, the act, who asks, when,
     until when, every argument, and every record that the act will make. It ends after `VALID_S`.
 (4) At most `MAX_OPEN` requests are open at a time; one more is refused.
 (5) A signature counts if it is over exactly that text, made for `NAMESPACE`, by a key that is a signer's now. A signer
     counts once, however often they sign.
 (6) Two different signers are needed. As the asker is at most one of them, another one has agreed as well.
 (7) The act goes through once: asked for by the same person with the id, before the end, when the text that it makes
     now is, byte for byte, the one that was signed. Otherwise nothing is done, and the refusal is recorded.
 (8) A request from the future is one of a clock that was moved, and refused like one that has ended.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

NAMESPACE = "corral-act"
"""What `ssh-keygen -Y sign -n` must name, so that no signature made for something else counts."""
NEEDED = 2
VALID_S = 24 * 3600
MAX_OPEN = 32
ALONE = "no signers are set: one person did this alone"
UNSIGNED_ARGUMENTS = frozenset({"approval", "hits"})
"""The id of the approval itself, and how many records were found, which grows with the log."""
_ALWAYS = {
    "holds.lift": "lift a legal hold",
    "audit.read_content": "read a text that is kept of a request",
    "audit.name_person": "name the person behind a pseudonym",
    "audit.retention": "keep the audit log for a shorter time",
    "audit.rotate_key": "rotate the audit key",
}

Details = Mapping[str, str | int | float | bool]


class NotApproved(Exception):
    """The act may not be done now. `reason` is a stable code for the log, the message tells what and the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Effect(Struct, frozen=True):
    """One record that the act will make: its event, what it is about, and its details."""

    event: str
    object: str
    details: Details


class Asking(Struct, frozen=True, kw_only=True):
    """Who asks for what, where and when. `home` is the deployment's name, `asked_s` in Unix seconds."""

    id: str
    home: str
    act: str
    asker: str
    asker_id: str
    asked_s: int

    @property
    def ends_s(self) -> int:
        """When it ends, by rule (3)."""
        return self.asked_s + VALID_S


class ActRequest(Struct, frozen=True, kw_only=True):
    """An act that was asked for: the text to sign, the signatures (as handed in), and whether it was done."""

    asking: Asking
    text: str
    signatures: tuple[str, ...] = ()
    used: bool = False


def purpose_of(act: str, arguments: Mapping[str, Any]) -> str:
    """What two persons are needed for; empty for an act that one does alone (rule 1)."""
    if act == "lockdown" and arguments.get("lift"):
        return "reopen after a lockdown"
    if act == "audit.export" and arguments.get("opened"):
        return "export records with names"
    return _ALWAYS.get(act, "")


def request_text(asking: Asking, arguments: Mapping[str, Any], effects: Iterable[Effect]) -> str:
    """Rule (3): what is signed. ASCII; every value as JSON, so that none can pass for another line."""
    given = {name: value for name, value in sorted(arguments.items()) if name not in UNSIGNED_ARGUMENTS}
    lines = [
        "corral act 1",
        f"home {asking.home}",
        f"request {asking.id}",
        f"act {asking.act}: {purpose_of(asking.act, arguments)}",
        f"asked by {_json(asking.asker)} (user id {_json(asking.asker_id)})",
        f"asked at {told_time(asking.asked_s)}",
        f"ends at {told_time(asking.ends_s)}",
        *(f"with {_json(name)}: {_json(value)}" for name, value in given.items()),
        *(_effect_line(effect) for effect in effects),
    ]
    return "\n".join([*lines, ""])


def told_time(unix_s: int) -> str:
    """As the text and the answers tell it, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_open(request: ActRequest, now_s: float) -> bool:
    """Whether it may still be signed and done (rules 7 and 8)."""
    return not request.used and request.asking.asked_s <= now_s < request.asking.ends_s


def demand_room(requests: Collection[ActRequest], now_s: float) -> None:
    """Rule (4). Raises NotApproved."""
    if sum(is_open(each, now_s) for each in requests) >= MAX_OPEN:
        raise NotApproved("too_many_requests", f"{MAX_OPEN} acts are asked for already: see 'corral approve --list'")


def demand_open(request: ActRequest | None, now_s: float) -> ActRequest:
    """The request, if there is one that is open. Raises NotApproved."""
    if request is None:
        raise NotApproved("approval_unknown", "no act of this id is asked for: ask anew without --approval")
    if request.used:
        raise NotApproved("approval_used", "this approval was used: it holds for one time; ask anew")
    if not is_open(request, now_s):
        raise NotApproved("approval_ended", f"the request ended at {told_time(request.asking.ends_s)}: ask anew")
    return request


def demand_new_signer(names: Collection[str], before: Collection[str], unfit: Collection[str]) -> str:
    """The one signer whose signature was handed in, when they had not signed (rule 5). Raises NotApproved.

    `names` are those whose the signature is, `before` those who had signed, `unfit` why it counts for nothing.
    """
    if len(names) != 1:
        why = "; ".join(sorted(unfit)) or "it holds none"
        raise NotApproved(
            "signature_unfit", f"the signature counts for nothing: {why}: sign the exact text for '{NAMESPACE}'"
        )
    (name,) = names
    if name in before:
        raise NotApproved("signed_twice", f"{name} has signed this already: another person must sign it too")
    return name


def demand_approval(
    request: ActRequest | None, text: str, asker_id: str, signers: Collection[str], now_s: float
) -> ActRequest:
    """The request, if the act may be done now by rules (5) to (8). Raises NotApproved.

    `text` is what the act makes now for this request, `signers` those whose good signatures stand under the stored one.
    """
    known = demand_open(request, now_s)
    if known.asking.asker_id != asker_id:
        raise NotApproved("approval_of_another", f"{known.asking.asker} asked for this: they do it, or you ask anew")
    if known.text != text:
        raise NotApproved("approval_differs", "this is not what was signed: give the same words, or ask anew")
    if len(set(signers)) < NEEDED:
        has = f"{len(set(signers))} of {NEEDED}"
        raise NotApproved(
            "approval_missing", f"{has} persons have signed: see 'corral approve {known.asking.id}' for the text"
        )
    return known


def _effect_line(effect: Effect) -> str:
    told = {name: value for name, value in effect.details.items() if name not in UNSIGNED_ARGUMENTS}
    return f"records {effect.event} of {_json(effect.object)}: {_json(told)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True)
