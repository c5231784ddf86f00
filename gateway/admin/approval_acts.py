"""The acts behind `corral approve`: what waits for two persons, and one person's signature under it."""

import base64
import binascii
from functools import partial
from hashlib import sha256
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import ApproveAct, ListRequests, read_arguments
from gateway.admin.request_book import RequestBook, RequestsBroken
from policies.approval.two_persons import NEEDED, NotApproved, demand_new_signer, is_open, purpose_of, told_time
from policies.audit_record import Change

Json = dict[str, Any]


def approve_act(arguments: Json, context: ActContext) -> Outcome:
    """Put a signer's signature under an open request. Who hands it in does not matter: the signature does."""
    asked = read_arguments(arguments, ApproveAct)
    signature, consents = _signature(asked.signature), context.consents
    try:
        request = consents.open_request(asked.id, context.now_s)
        before = consents.signed_by(request, request.signatures).names
        found = consents.signed_by(request, (signature,))
        name = demand_new_signer(found.names, before, found.unfit)
    except NotApproved as fault:
        raise ActRefused(fault.reason, str(fault)) from fault
    told: dict[str, str | int | float | bool] = {
        "act": request.asking.act,
        "request": asked.id,
        "signers": name,
        "signatures": len(before) + 1,
        "text_sha256": sha256(request.text.encode()).hexdigest(),
    }
    change = Change(object=f"act:{request.asking.act}", details=told, reason=asked.reason, ticket=asked.ticket)
    names = sorted({*before, name})
    return Outcome(
        result={"id": asked.id, "act": request.asking.act, "signers": names, "missing": max(0, NEEDED - len(names))},
        notes=(("act.approved", change),),
        then=(partial(_sign, consents.book, asked.id, signature),),
    )


def list_requests(arguments: Json, context: ActContext) -> Outcome:
    """The requests that are open, with the text of each."""
    read_arguments(arguments, ListRequests)
    consents = context.consents
    try:
        requests = [each for each in consents.book.requests() if is_open(each, context.now_s)]
    except RequestsBroken as fault:
        raise ActRefused("requests_unusable", str(fault)) from fault
    shown = [
        {
            "id": each.asking.id,
            "act": each.asking.act,
            "purpose": purpose_of(each.asking.act, {"lift": True, "opened": True}),
            "asker": each.asking.asker,
            "ends": told_time(each.asking.ends_s),
            "signers": list(consents.signed_by(each, each.signatures).names),
            "text": each.text,
        }
        for each in requests
    ]
    return Outcome(result={"requests": shown, "signers": [each.name for each in consents.signers]})


def _signature(given: str) -> str:
    """The signature's file, as ssh-keygen made it. Raises ActRefused."""
    try:
        return base64.b64decode(given, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise ActRefused(
            "signature_unfit", "that is no signature of ssh-keygen -Y sign: name the .sig file that it made"
        ) from None


def _sign(book: RequestBook, request_id: str, signature: str) -> None:
    try:
        book.sign(request_id, signature)
    except RequestsBroken as fault:
        raise ActRefused("requests_unusable", str(fault)) from fault
