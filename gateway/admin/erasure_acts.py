"""The acts `corral audit erase` and `corral audit content`: what is kept of a person or a request is opened no more.

Rules:
- A person is named by what the log calls them, or by a pseudonym; an address is the name of whoever gave no other.
- All that is kept of a person goes together: names and addresses in the log, texts of their requests, remarks of
  operators in which every word of the name stands, and what keys.db says of them.
- Whoever still owns a key that is valid is not erased: their next request would bring the name back.
- The record says the digest of the pseudonym and nothing else of them; a reason that holds the name is refused.
- The record is written first. What fails after it is told as a failure, and doing it again finishes the work.
"""

import hashlib
import json
from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import EraseContent, ErasePerson, ReadContent, read_arguments
from gateway.admin.request_book import RequestsBroken
from gateway.audit.vault import Vault
from policies.audit_record import Change, clean
from policies.auditing.person_fields import words_of
from policies.credentials.key_record import KeyRecord
from policies.credentials.public_key import PublicKeyRecord
from policies.errors import PolicyUnavailable

Json = dict[str, Any]
SHOWN_KEYS = 5


def erase_person(arguments: Json, context: ActContext) -> Outcome:
    """Delete what opens all that is kept of persons."""
    asked = read_arguments(arguments, ErasePerson)
    if not asked.persons and not asked.pseudonyms:
        raise ActRefused("bad_argument", "name whom: --person NAME, --pseudonym P or --request ID")
    vault = _vault(context)
    names = _spellings(asked, vault, context)
    for name in names:
        _require_erasable(name, asked, context)
    pseudonyms, remarks = _found(vault, names, asked.pseudonyms, context)
    texts = tuple(sorted({each for name in pseudonyms for each in vault.content.kept_of(name)}))
    told = {"texts": len(texts), "remarks": len(remarks)}
    return Outcome(
        result={"erased": [_digest(each) for each in pseudonyms], "remains": _remains(names, context), **told},
        notes=tuple(_person_note(each, told | {"keys": vault.persons.count_keys(each)}, asked) for each in pseudonyms),
        slow=(partial(_erase, vault, (*pseudonyms, *remarks), texts),),
        then=(
            vault.persons.refresh,
            *(partial(context.keys.forget, name) for name in names),
            partial(_forget_requests, context, names),
        ),
    )


def erase_content(arguments: Json, context: ActContext) -> Outcome:
    """Delete what opens the texts of requests."""
    asked = read_arguments(arguments, EraseContent)
    vault = _vault(context)
    for request_id in asked.requests:
        if not vault.content.has(request_id):
            raise ActRefused("content_unknown", f"nothing is kept of a request {clean(request_id)!r}")
    return Outcome(
        result={"erased": list(asked.requests)},
        notes=tuple(("content.erased", _change(f"request:{each}", {}, asked)) for each in asked.requests),
        slow=(partial(_erase, vault, (), asked.requests),),
    )


def read_content(arguments: Json, context: ActContext) -> Outcome:
    """Prompt and answer of a request, where they are kept. That they were read is recorded before they are told."""
    asked = read_arguments(arguments, ReadContent)
    try:
        document = _vault(context).content.open(asked.request)
    except OSError as fault:
        raise ActRefused("content_unreadable", f"cannot read what is kept: {fault.strerror or fault}") from fault
    if document is None:
        raise ActRefused("content_unknown", f"nothing is kept of a request {clean(asked.request)!r}")
    change = _change(f"request:{asked.request}", {}, asked)
    return Outcome(result={"request": asked.request, **json.loads(document)}, notes=(("content.read", change),))


def _vault(context: ActContext) -> Vault:
    if context.vault is None:
        raise ActRefused("no_vault", "this gateway keeps nothing of persons or texts")
    return context.vault


def _spellings(asked: ErasePerson, vault: Vault, context: ActContext) -> tuple[str, ...]:
    """Those who are meant, as keys.db says them and as the log does (`clean`), whichever of both was given.

    No name follows from a pseudonym, but somebody whom keys.db names may be the one behind it.
    """
    names = {spelling for name in asked.persons for spelling in (name, clean(name))}
    for person in context.keys.people() if names or asked.pseudonyms else ():
        if clean(person) in names or not set(asked.pseudonyms).isdisjoint(vault.persons.pseudonyms(clean(person))):
            names |= {person, clean(person)}
    return tuple(sorted(names))


def _require_erasable(name: str, asked: ErasePerson, context: ActContext) -> None:
    words = words_of(name)
    if not words:
        raise ActRefused("bad_argument", f"{name!r} is no name")
    if words <= words_of(asked.reason) or words <= words_of(asked.ticket):
        raise ActRefused("reason_names_person", "the reason would keep the name: say why without it")
    keys: tuple[KeyRecord | PublicKeyRecord, ...] = (*context.keys.records(), *context.keys.public_keys.records())
    owned = [each for each in keys if each.owner == name]
    live = [each.id for each in owned if each.state(context.now_s) in ("active", "not_yet_valid")]
    if live:
        listed = ", ".join(live[:SHOWN_KEYS])
        raise ActRefused("owns_keys", f"{name} still owns {len(live)} valid keys ({listed}): revoke them first")


def _found(
    vault: Vault, names: tuple[str, ...], given: tuple[str, ...], context: ActContext
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The pseudonyms of all who are meant, and the remarks that name them."""
    for pseudonym in given:
        if not vault.persons.knows(pseudonym):
            raise ActRefused("person_unknown", f"no person of the log has the pseudonym {clean(pseudonym)!r}")
    named = {each for name in names for each in vault.persons.pseudonyms(name)}
    remarks = {each for name in names for each in vault.persons.remarks_naming(name)}
    if not named and not given and not remarks and context.keys.people().isdisjoint(names):
        raise ActRefused("person_unknown", f"the log knows nobody called {', '.join(names)} (letter case counts)")
    return tuple(sorted(named | set(given))), tuple(sorted(remarks))


def _remains(names: tuple[str, ...], context: ActContext) -> list[str]:
    """Where a name stays on purpose, for the operator to judge."""
    revoked = context.keys.revocations.current.entries
    return [
        f"the revocation of actor {name}, which refuses what was issued to them before it"
        for name in names
        if ("actor", name) in revoked
    ]


def _erase(vault: Vault, pseudonyms: tuple[str, ...], requests: tuple[str, ...]) -> None:
    """In a thread. Raises PolicyUnavailable."""
    try:
        vault.content.erase(requests)
        if pseudonyms:
            vault.persons.erase(*pseudonyms)
    except OSError as fault:
        raise PolicyUnavailable("erasure_unfinished") from fault


def _forget_requests(context: ActContext, names: tuple[str, ...]) -> None:
    """Requests for two persons in whose texts every word of a name stands. Raises PolicyUnavailable."""
    try:
        context.consents.book.forget_naming(lambda text: any(words_of(name) <= words_of(text) for name in names))
    except RequestsBroken as fault:
        raise PolicyUnavailable("erasure_unfinished") from fault


def _person_note(pseudonym: str, details: dict[str, int], asked: ErasePerson) -> tuple[str, Change]:
    return "person.erased", _change(f"person:{_digest(pseudonym)}", details, asked)


def _change(subject: str, details: dict[str, int], asked: ErasePerson | EraseContent | ReadContent) -> Change:
    return Change(object=subject, details=details, reason=asked.reason, ticket=asked.ticket)


def _digest(pseudonym: str) -> str:
    return hashlib.sha256(pseudonym.encode()).hexdigest()
