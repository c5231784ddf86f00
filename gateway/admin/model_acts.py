"""The acts on models. The store itself is changed by the command, once its record is lasting.

Models are files of gigabytes that the gateway's process should not copy, so these acts only write the
record; `corral models` asks for it after the file was checked and before the model has a name.
"""

from typing import Any

from gateway.admin.act import ActContext, Outcome
from gateway.admin.act_arguments import ModelAct, read_arguments
from policies.audit_record import Change

Json = dict[str, Any]


def record_import(arguments: Json, _context: ActContext) -> Outcome:
    """A model is about to be served under this name; `digest` is that of its file."""
    asked = read_arguments(arguments, ModelAct)
    change = Change(
        object=f"model:{asked.name}",
        after_hash=asked.digest,
        details={"yarn": asked.yarn} if asked.yarn else {},
        reason=asked.reason,
        ticket=asked.ticket,
    )
    return Outcome(result={"recorded": asked.name}, notes=(("model.imported", change),))


def record_removal(arguments: Json, _context: ActContext) -> Outcome:
    """A model is about to lose its name."""
    asked = read_arguments(arguments, ModelAct)
    change = Change(object=f"model:{asked.name}", before_hash=asked.digest, reason=asked.reason, ticket=asked.ticket)
    return Outcome(result={"recorded": asked.name}, notes=(("model.removed", change),))
