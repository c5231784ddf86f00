"""`corral status`: what runs and who waits, from the running gateway; once, or again and again."""

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from msgspec import convert

from gateway.cli.admin_client import call_act
from gateway.cli.output import FAILED, CommandFault, emit
from gateway.cli.queue_lines import queue_lines
from gateway.homes.home import Home, open_home
from policies.admitting.queue_view import QueueView

EVERY_S = 2.0
LEAST_S = 0.2
TROUBLE = ("stuck", "backing_off", "quarantined")


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `status`."""
    parser = commands.add_parser("status", parents=[common], help="show what runs and who waits")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_interval_s,
        const=EVERY_S,
        metavar="SECONDS",
        help=f"show it again every so many seconds (default: {EVERY_S:g}) until Ctrl-C",
    )
    parser.set_defaults(run=status)


def status(arguments: argparse.Namespace) -> int:
    """Print readiness, models and the queue: teams, pools, targets."""
    home = open_home(arguments.home)
    if arguments.watch is None:
        found = _ask(home)
        emit(arguments, found, _text(found))
        return 0
    try:
        while True:
            found = _ask_anyway(home)
            emit(arguments, found, f"at:      {found['at']}\n{found.get('fault') or _text(found)}\n")
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        return 0


def _ask_anyway(home: Home) -> dict[str, Any]:
    """One look while watching; that no gateway runs, as while it is restarted, is told and not the end."""
    try:
        return _ask(home)
    except CommandFault as fault:
        return {"at": _now(), "fault": str(fault)}


def _ask(home: Home) -> dict[str, Any]:
    if not home.admin_socket.exists():
        raise CommandFault(f"no gateway runs for {home.path}: start it with 'corral serve'", status=FAILED)
    return call_act(home, "status", {}) | {"queue": call_act(home, "queue", {}), "at": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _interval_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_S <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"must be seconds, from {LEAST_S:g} to 86400")
    return seconds


def _policy(policy: dict[str, str]) -> str:
    """Which policy holds, whose, since when; and that the file is another one, if it is."""
    held = f"{policy['hash'][:12]} by {policy['author']}, in force since {policy['since']}"
    return f"{held}; THE FILE IS REFUSED: {policy['refusal']}" if policy["refusal"] else held


def _anchors(anchors: dict[str, Any] | None) -> list[str]:
    """Whether the log is anchored off this host, which places fail, and that nothing is served for want of one."""
    if anchors is None:
        return []
    lines = [f"anchors: {anchors['words']}"]
    lines += [f"  {each['name']}: FAILS: {each['fault']}" for each in anchors.get("places", ()) if each["fault"]]
    if anchors.get("refuses"):
        lines.append("  OVERDUE: no request is served until a checkpoint is taken somewhere")
    return lines


def _audit_disk(disk: dict[str, Any] | None) -> list[str]:
    """How full the log's disk is; no line while it is roomy and its reserve is there."""
    if disk is None or (disk["level"] == "roomy" and disk["reserve"]):
        return []
    says = {"low": "low", "alarm": "NEARLY FULL", "full": "FULL: nothing is served"}.get(disk["level"], "roomy")
    reserve = "" if disk["reserve"] else "; its reserve is not there"
    return [f"disk:    the audit log's disk is {says}, {disk['used_percent']:g} % used{reserve}"]


def _store(store: dict[str, Any] | None) -> list[str]:
    """How the shared store is; no line where limits are counted here alone."""
    if store is None:
        return []
    if store["reason"]:
        return [f"store:   AWAY ({store['reason']}); failures: {store['failures']}, settlements owed: {store['owed']}"]
    return [f"store:   answers, {store['present']} of {store['gateways']} gateways present"]


def _console(console: dict[str, Any] | None) -> list[str]:
    """The console's sessions, and whether somebody used a key to come in; no line without a console."""
    if console is None:
        return []
    if console["reason"]:
        return [f"console: its sessions CANNOT BE READ ({console['reason']}): nobody is let in"]
    by_key = f"; SIGNED IN BY API KEY {console['by_key']} x within 24 h" if console["by_key"] else ""
    return [f"console: {console['sessions']} sessions open{by_key}"]


def _processes(processes: list[dict[str, Any]], suspects: dict[str, int]) -> list[str]:
    """Engine processes that died or do not serve, and requests that may be the reason; no line while all is well."""
    lines = []
    for each in processes:
        count = sum(each["deaths"].values())
        if count or each["state"] in TROUBLE:
            times = "once" if count == 1 else f"{count} times"
            died = f"; died {times}, last: {each['cause']}" if count else ""
            lines.append(f"process: {each['process']} is {each['state'].replace('_', ' ')}{died}")
    if any(suspects.values()):
        lines.append(f"suspect: {suspects['suspects']} requests run alone, {suspects['refused']} are refused")
    return lines


def _callers(callers: dict[str, int]) -> list[str]:
    """Keys of which one request after another was there when a worker died; no line where there is none."""
    if not any(callers.values()):
        return []
    return [f"suspect: {callers['alone']} callers run alone, {callers['refused']} are refused for a while"]


def _residences(residences: list[dict[str, Any]]) -> list[str]:
    """Workers that are not loaded, or go by themselves: no line where all are loaded for good."""
    lines = []
    for each in residences:
        ends = f", goes in {each['expires_in_s']:g} s unless used" if each["expires_in_s"] is not None else ""
        why = f": {each['reason']}" if each["reason"] else ""
        if each["state"] != "loaded" or ends:
            size = f"{each['needs_bytes'] / 2**20:.0f} MiB"
            what = f"{each['model']}, embeddings" if each.get("role") == "embedding" else each["model"]
            lines.append(f"worker:  {each['process']} ({what}, {size}) is {each['state']}{ends}{why}")
    return lines


def _text(found: dict[str, Any]) -> str:
    head = [
        f"ready:   {'yes' if found['ready'] else 'no'}",
        *(f"  {each['name']}: {each['what']}; {each['remedy']}" for each in found.get("lacks", ())),
        f"audit:   {'writing' if found['audit'] else 'CANNOT BE WRITTEN: nothing is served'}",
        *_anchors(found.get("anchors")),
        *_audit_disk(found.get("audit_disk")),
        *_store(found.get("store")),
        *_console(found.get("console")),
        f"policy:  {_policy(found['policy'])}",
        f"models:  {', '.join(found['models']) or 'none'}",
    ]
    if left_out := found.get("left_out"):
        head.append(f"LEFT OUT: {', '.join(left_out)}: adapters that their worker cannot load; the log says why")
    head += _residences(found.get("residences", []))
    head += _processes(found.get("processes", []), found.get("suspects", {}))
    head += _callers(found.get("suspect_callers", {}))
    if locked := found.get("lockdowns"):
        head.append(f"LOCKED DOWN: {', '.join('everybody' if team == '*' else team for team in locked)}")
    queue = convert(found["queue"], QueueView)
    if queue.decided_by or queue.reason:  # the queue's figures are of all gateways then
        head.append(f"here:    {found['waiting']} wait; {found['running']} requests in all, waiting ones among them")
    return "\n".join([*head, *queue_lines(queue)])
