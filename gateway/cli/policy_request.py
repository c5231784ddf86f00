"""`corral policy explain --request ID`: what decided about a request of the past, from the audit log."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.audit.audit_files import segment_paths, stored_lines
from gateway.cli.audit_chains import find_chains
from gateway.cli.audit_lines import read_record
from gateway.cli.output import BAD_INPUT, CommandFault, emit
from gateway.cli.policy_setting import decided_by, read_named, setting_of
from policies.policy_file.deciding_setting import STEPS, Caller, Decider, decider

if TYPE_CHECKING:
    from gateway.policy_file.policy_reading import Written

Json = dict[str, Any]


def explain_request(arguments: argparse.Namespace) -> int:
    """Print what was decided about --request, at which step, and by which setting."""
    path, written, _ = read_named(arguments)
    records = request_records(find_chains(argparse.Namespace(folder=None, home=arguments.home)), arguments.request)
    if not records:
        raise CommandFault("the audit log of this home has no request with this id", status=BAD_INPUT)
    last = records[-1]
    decision = last.get("decision", {})
    caller = Caller(
        team=last.get("actor", {}).get("team", ""),
        model=last.get("action", {}).get("model", ""),
        listener=last.get("src", {}).get("listener", "public"),
    )
    found = decider(decision["reason"], last["event"], caller) if decision.get("reason") else None
    setting = setting_of(found, path, written)
    reported = _reported(records, caller, path, written)
    notes = []
    if decision.get("policy_hash") != written.hash:
        notes.append(f"it was decided by policy {decision.get('policy_hash', '')[:12]}; this file is another one")
        for each in (setting, *reported):
            each["line"] = None
    data = {
        "request": arguments.request,
        "event": last["event"],
        "at": last["ts"],
        "effect": decision.get("effect"),
        "reason": decision.get("reason", ""),
        "step": found.step if found else None,
        "policy_hash": decision.get("policy_hash", ""),
        "would_refuse": reported,
        "records": [each["event"] for each in records],
        "notes": notes,
        **setting,
    }
    emit(arguments, data, _told(data, found, notes))
    return 0


def _told(data: Json, found: Decider | None, notes: list[str]) -> str:
    lines = [f"{data['at']}  {data['event']}: {data['effect']}"]
    if found is not None:
        lines.append(f"({found.step}) {STEPS[found.step]}: {data['reason']}: look at {found.look}")
    lines += decided_by(data)
    for each in data["would_refuse"]:
        lines.append(f"({each['step']}) {STEPS[each['step']]}: {each['reason']} would have refused: mode is report")
        lines += decided_by(each)
    return "\n".join([*lines, *notes])


def _reported(records: list[Json], caller: Caller, path: Path, written: "Written") -> list[Json]:
    """What limits in report mode would have refused, each with its step and its setting."""
    told = " ".join(each.get("decision", {}).get("would_refuse", "") for each in records).split()
    found = [(reason, decider(reason, "request.limited", caller)) for reason in dict.fromkeys(told)]
    return [{"reason": reason, "step": each.step, **setting_of(each, path, written)} for reason, each in found]


def request_records(chains: list[Path], request_id: str) -> list[Json]:
    """Its records in the order they were written, from whichever chain has them. Raises CommandFault."""
    needle = request_id.encode("ascii", "replace")
    try:
        for chain in chains:
            found = [record for path in segment_paths(chain) for record in _matching(path, needle, request_id)]
            if found:
                return found
    except OSError as fault:
        raise CommandFault(f"cannot read the audit log: {fault.strerror}") from None
    return []


def _matching(path: Path, needle: bytes, request_id: str) -> list[Json]:
    records = [read_record(line.data) for line in stored_lines([path]) if needle in line.data]
    return [record for record in records if record.get("req_id") == request_id]
