"""`corral status`: what runs, from the running gateway."""

import argparse
from typing import Any

from gateway.cli.admin_client import call_act
from gateway.cli.output import FAILED, CommandFault, emit, table
from gateway.homes.home import open_home


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `status`."""
    parser = commands.add_parser("status", parents=[common], help="show what runs")
    parser.set_defaults(run=status)


def status(arguments: argparse.Namespace) -> int:
    """Print readiness, models, targets and the queue."""
    home = open_home(arguments.home)
    if not home.admin_socket.exists():
        raise CommandFault(f"no gateway runs for {home.path}: start it with 'corral serve'", status=FAILED)
    found = call_act(home, "status", {})
    emit(arguments, found, _text(found))
    return 0


def _policy(policy: dict[str, str]) -> str:
    """Which policy holds, whose, since when; and that the file is another one, if it is."""
    held = f"{policy['hash'][:12]} by {policy['author']}, in force since {policy['since']}"
    return f"{held}; THE FILE IS REFUSED: {policy['refusal']}" if policy["refusal"] else held


def _store(store: dict[str, Any] | None) -> list[str]:
    """How the shared store is; no line where limits are counted here alone."""
    if store is None:
        return []
    if store["reason"]:
        return [f"store:   AWAY ({store['reason']}); failures: {store['failures']}, settlements owed: {store['owed']}"]
    return [f"store:   answers, {store['present']} of {store['gateways']} gateways present"]


def _text(found: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        (each["target"], "ready" if each["ready"] else "away", f"{each['running']}/{each['slots']}")
        for each in sorted(found["targets"], key=lambda each: str(each["target"]))
    ]
    head = [
        f"ready:   {'yes' if found['ready'] else 'no'}",
        *(f"  {each['name']}: {each['what']}; {each['remedy']}" for each in found.get("lacks", ())),
        f"audit:   {'writing' if found['audit'] else 'CANNOT BE WRITTEN: nothing is served'}",
        *_store(found.get("store")),
        f"policy:  {_policy(found['policy'])}",
        f"models:  {', '.join(found['models']) or 'none'}",
        f"running: {found['running']}   waiting: {found['waiting']}",
    ]
    if locked := found.get("lockdowns"):
        head.append(f"LOCKED DOWN: {', '.join('everybody' if team == '*' else team for team in locked)}")
    return "\n".join([*head, "", table(("target", "state", "slots"), rows)] if rows else head)
