"""`corral keys create|list|rotate|revoke|review|lint`: the API keys of the teams."""

import argparse
from typing import Any

from gateway.cli.keys_lint import lint
from gateway.cli.output import emit, table


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `keys` and its actions."""
    keys = commands.add_parser("keys", help="make, list, replace and end API keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    why = argparse.ArgumentParser(add_help=False)
    why.add_argument("--reason", default="", help="why, for the audit log")
    why.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")
    _add_create(actions, [common, why])
    listing = actions.add_parser("list", parents=[common], help="all keys, never their secrets")
    listing.add_argument("--team", help="only this team's")
    listing.set_defaults(run=list_keys)
    rotate = actions.add_parser("rotate", parents=[common, why], help="make a successor; both hold for a while")
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument("--overlap", default="24h", help="how long the old key still holds (default: 24h)")
    rotate.set_defaults(run=rotate_key)
    revoke = actions.add_parser("revoke", parents=[common, why], help="end a key at once, running streams included")
    revoke.add_argument("id", metavar="ID")
    revoke.set_defaults(run=revoke_key)
    review = actions.add_parser("review", parents=[common, why], help="keys that need a look; with ID: reviewed now")
    review.add_argument("id", metavar="ID", nargs="?")
    review.add_argument("--next", default="90d", help="when the next review is due (default: 90d)")
    review.set_defaults(run=review_keys)
    linting = actions.add_parser("lint", parents=[common], help="find Corral keys in a text; needs no home")
    linting.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    linting.set_defaults(run=lint)


def create_key(arguments: argparse.Namespace) -> int:
    """Make a key and show it, this once."""
    asked = {
        "team": arguments.team,
        "owner": arguments.owner,
        "purpose": arguments.purpose,
        "expires": arguments.expires,
        "unsafe_no_expiry": arguments.unsafe_no_expiry,
        "networks": arguments.network,
        **_why(arguments),
    }
    if arguments.scope:
        asked["scopes"] = arguments.scope
    made = _call(arguments, "keys.create", asked)
    emit(arguments, made, f"id   {made['id']}\nkey  {made['key']}\nThe key is shown this once: keep it now.")
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Every key with its state; with --json every field."""
    keys = _call(arguments, "keys.list", {"team": arguments.team} if arguments.team else {})["keys"]
    emit(arguments, keys, _key_table(keys, "STATE", "state") if keys else "no keys")
    return 0


def rotate_key(arguments: argparse.Namespace) -> int:
    """Make a successor for a key and show it, this once."""
    made = _call(arguments, "keys.rotate", {"id": arguments.id, "overlap": arguments.overlap, **_why(arguments)})
    text = f"id   {made['id']}\nkey  {made['key']}\nThe key is shown this once: keep it now."
    emit(arguments, made, f"{text}\n{made['predecessor']} still holds until {made['predecessor_ends']}.")
    return 0


def revoke_key(arguments: argparse.Namespace) -> int:
    """End a key."""
    revoked = _call(arguments, "keys.revoke", {"id": arguments.id, **_why(arguments)})
    emit(arguments, revoked, f"{revoked['id']} of team {revoked['team']} is revoked since {revoked['revoked']}")
    return 0


def review_keys(arguments: argparse.Namespace) -> int:
    """The keys that need a look, or, with an id, the note that it was looked at."""
    if arguments.id:
        asked = {"id": arguments.id, "next": arguments.next, **_why(arguments)}
        reviewed = _call(arguments, "keys.review", asked)
        emit(arguments, reviewed, f"{reviewed['id']} is due for review on {reviewed['review']}")
        return 0
    keys = _call(arguments, "keys.review", {})["keys"]
    shown = [key | {"findings_text": ", ".join(key["findings"])} for key in keys]
    emit(arguments, keys, _key_table(shown, "FINDINGS", "findings_text") if shown else "no key needs a look")
    return 0


def _add_create(actions: Any, parents: list[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", parents=parents, help="make a key for a team and show it once")
    create.add_argument("--team", required=True, help="a team of policy.yaml")
    create.add_argument("--owner", default="", help="who answers for it (default: you)")
    create.add_argument("--purpose", default="", help="what it is for")
    create.add_argument("--expires", help="when it ends, such as 90d or 12h (default: 90d)")
    create.add_argument("--unsafe-no-expiry", action="store_true", help="make a key that never ends by itself")
    create.add_argument("--network", action="append", default=[], metavar="CIDR", help="where it may be used from")
    create.add_argument("--scope", action="append", default=[], help="inference, models, metrics or admin")
    create.set_defaults(run=create_key)


def _why(arguments: argparse.Namespace) -> dict[str, str]:
    return {"reason": arguments.reason, "ticket": arguments.ticket}


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)


def _key_table(keys: list[dict[str, Any]], last_title: str, last_field: str) -> str:
    columns = ("id", "team", "owner", "purpose", "expires", "last_used", last_field)
    rows = [tuple(str("never" if key[column] is None else key[column]) for column in columns) for key in keys]
    return table(("ID", "TEAM", "OWNER", "PURPOSE", "ENDS", "LAST USED", last_title), rows)
