"""Every act of the admin command, by name. What an act is and how it is carried out: `gateway.admin.act`."""

from typing import Any

from gateway.admin.act import Act, ActContext, Outcome, perform_one_of
from gateway.admin.act_arguments import ListTeams, read_arguments
from gateway.admin.approval_acts import approve_act, list_requests
from gateway.admin.audit_key_acts import rotate_key as rotate_audit_key
from gateway.admin.erasure_acts import erase_content, erase_person, read_content
from gateway.admin.grant_acts import add_grant, end_grant, list_grants
from gateway.admin.hold_acts import lift_hold, list_holds, set_hold
from gateway.admin.key_acts import create_key, list_keys, review_keys, revoke_key, rotate_key
from gateway.admin.model_acts import record_import, record_removal
from gateway.admin.naming_acts import record_hash, record_naming
from gateway.admin.policy_acts import show_policy
from gateway.admin.public_key_acts import register_key
from gateway.admin.retention_acts import set_retention
from gateway.admin.retirement_acts import retire_chain
from gateway.admin.review_acts import check_review, record_review
from gateway.admin.revocation_acts import lock_down, revoke
from gateway.admin.search_acts import (
    record_export,
    record_query_removed,
    record_query_saved,
    record_report,
    record_search,
)

Json = dict[str, Any]


def list_teams(arguments: Json, context: ActContext) -> Outcome:
    """The policy's teams, and how many keys of each are active."""
    read_arguments(arguments, ListTeams)
    active = [record.team for record in context.keys.records() if record.state(context.now_s) == "active"]
    teams = [
        {
            "name": name,
            "models": list(team.models),
            "weight": team.weight,
            "max_queued": team.max_queued,
            "active_keys": active.count(name),
        }
        for name, team in sorted(context.policy.teams.items())
    ]
    return Outcome(result={"teams": teams})


ACTS = {
    "keys.create": Act(create_key, "key.act_refused"),
    "keys.list": Act(list_keys),
    "keys.rotate": Act(rotate_key, "key.act_refused"),
    "keys.revoke": Act(revoke_key, "key.act_refused"),
    "keys.review": Act(review_keys, "key.act_refused"),
    "keys.register": Act(register_key, "key.act_refused"),
    "revoke": Act(revoke, "revocation.act_refused"),
    "lockdown": Act(lock_down, "lockdown.act_refused"),
    "grants.add": Act(add_grant, "grant.act_refused"),
    "grants.list": Act(list_grants),
    "grants.end": Act(end_grant, "grant.act_refused"),
    "holds.set": Act(set_hold, "audit.hold_refused"),
    "holds.lift": Act(lift_hold, "audit.hold_refused"),
    "holds.list": Act(list_holds),
    "models.import": Act(record_import, "model.act_refused"),
    "models.remove": Act(record_removal, "model.act_refused"),
    "audit.erase_person": Act(erase_person, "erasure.act_refused"),
    "audit.erase_content": Act(erase_content, "erasure.act_refused"),
    "audit.read_content": Act(read_content, "erasure.act_refused"),
    "teams.list": Act(list_teams),
    "policy.show": Act(show_policy),
    "audit.search": Act(record_search),
    "audit.export": Act(record_export, "act.refused"),
    "audit.query_save": Act(record_query_saved),
    "audit.query_remove": Act(record_query_removed),
    "audit.review": Act(record_review, "audit.review_refused", check_review),
    "audit.report": Act(record_report),
    "audit.hash": Act(record_hash),
    "audit.name_person": Act(record_naming, "act.refused"),
    "audit.retention": Act(set_retention, "act.refused"),
    "audit.rotate_key": Act(rotate_audit_key, "act.refused"),
    "audit.retire": Act(retire_chain, "act.refused"),
    "acts.approve": Act(approve_act, "act.refused"),
    "acts.list": Act(list_requests),
}


async def perform(name: str, arguments: Json, context: ActContext) -> Json:
    """`gateway.admin.act.perform_one_of` over ACTS."""
    return await perform_one_of(ACTS, name, arguments, context)
