"""`corral revoke` and `corral lockdown`: an end to what was let in, running streams included."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.guarded_act import NOT_DONE, approval_option, call_guarded
from gateway.cli.output import emit


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `revoke` and `lockdown`."""
    parents = [common, reason_options()]
    revoke = commands.add_parser("revoke", parents=parents, help="end all that a person, team or token holds, at once")
    whose = revoke.add_mutually_exclusive_group(required=True)
    whose.add_argument("--actor", metavar="SUB", default="", help="a JWT's sub, a certificate's name, a key's owner")
    whose.add_argument("--team", default="", help="all keys and tokens of a team issued so far")
    whose.add_argument("--jti", metavar="ID", default="", help="one token, by its id")
    revoke.set_defaults(run=revoke_all)
    lockdown = commands.add_parser(
        "lockdown", parents=[*parents, approval_option()], help="refuse everything until it is lifted"
    )
    who = lockdown.add_mutually_exclusive_group()
    who.add_argument("--team", help="only this team")
    who.add_argument("--all", action="store_true", help="everybody (the default)")
    lockdown.add_argument("--lift", action="store_true", help="let them in again")
    lockdown.set_defaults(run=lock_down)


def revoke_all(arguments: argparse.Namespace) -> int:
    """End what one actor, team or token holds."""
    asked = {"actor": arguments.actor, "team": arguments.team, "jti": arguments.jti, **reason_of(arguments)}
    revoked = _call(arguments, "revoke", asked)
    (whose,) = (f"{kind} {revoked[kind]}" for kind in ("actor", "team", "jti") if kind in revoked)
    keys = f"{revoked['keys']} key{'' if revoked['keys'] == 1 else 's'}"
    words = f"{whose}: what was issued until {revoked['revoked']} is revoked, {keys} among it"
    emit(arguments, revoked, words)
    return 0


def lock_down(arguments: argparse.Namespace) -> int:
    """Close the gate, or open it again."""
    asked = {"team": arguments.team, "lift": arguments.lift, **reason_of(arguments)}
    now = call_guarded(arguments, "lockdown", asked)
    if now is None:
        return NOT_DONE
    who = "everybody" if now["team"] == "*" else f"team {now['team']}"
    state = f"locked down since {now['since']}" if now["locked"] else "not locked down"
    emit(arguments, now, f"{who}: {state}")
    return 0


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)
