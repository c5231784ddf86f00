"""The acts on the policy. They only read: the policy is changed by its file, never by a command."""

from typing import Any

from gateway.admin.act import ActContext, Outcome
from gateway.admin.act_arguments import Arguments, read_arguments
from policies.policy_file.policy_diff import policy_data

Json = dict[str, Any]


def show_policy(arguments: Json, context: ActContext) -> Outcome:
    """The policy in force, every default written out, and its hash (empty while no gateway runs)."""
    read_arguments(arguments, Arguments)
    return Outcome(result={"policy": policy_data(context.policy), "hash": context.policy_hash})
