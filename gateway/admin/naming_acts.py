"""The act `corral audit name`: the person behind a pseudonym is told. It only records; the command looks it up."""

from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import HashAct, NamePerson, read_arguments
from policies.audit_record import Change, clean

Json = dict[str, Any]


def record_naming(arguments: Json, context: ActContext) -> Outcome:
    """Somebody is about to be told who a pseudonym is."""
    asked = read_arguments(arguments, NamePerson)
    if context.vault is None or not context.vault.persons.knows(asked.pseudonym):
        raise ActRefused("person_unknown", f"no person of the log has the pseudonym {clean(asked.pseudonym)!r}")
    change = Change(object=f"person:{asked.pseudonym}", reason=asked.reason, ticket=asked.ticket)
    return Outcome(result={"pseudonym": asked.pseudonym}, notes=(("person.named", change),))


def record_hash(arguments: Json, _context: ActContext) -> Outcome:
    """Somebody is about to be told the digest of a text, with which they can find who sent it."""
    asked = read_arguments(arguments, HashAct)
    details = {"team": asked.team, "digest": asked.digest}
    change = Change(object="audit:hash", details=details, reason=asked.reason, ticket=asked.ticket)
    return Outcome(result={}, notes=(("audit.hashed", change),))
