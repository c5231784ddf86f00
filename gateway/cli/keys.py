"""`corral keys create|register|list|rotate|revoke|review|lint`: API keys and registered public keys of the teams."""

import argparse
from pathlib import Path
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.keys_lint import lint
from gateway.cli.output import BAD_INPUT, CommandFault, emit, table

MAX_PUBLIC_KEY_BYTES = 4096
"""An ssh-ed25519 line has 80 and a comment; a private key shows what it is long before."""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `keys` and its actions."""
    keys = commands.add_parser("keys", help="make, list, replace and end API keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    why = reason_options()
    _add_create(actions, [common, why])
    _add_register(actions, [common, why])
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
    made = _call(arguments, "keys.create", _terms(arguments))
    emit(arguments, made, f"id   {made['id']}\nkey  {made['key']}\nThe key is shown this once: keep it now.")
    return 0


def register_key(arguments: argparse.Namespace) -> int:
    """Let the holder of a private key log in with it, as the `ollama` command does under OLLAMA_AUTH=1."""
    asked = {"public_key": _read_public_key(arguments.public_key), **_terms(arguments)}
    made = _call(arguments, "keys.register", asked)
    emit(arguments, made, f"{made['id']} of team {made['team']}: {made['fingerprint']}")
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Every key with its state; with --json every field, of a public key its fingerprint too."""
    keys = _call(arguments, "keys.list", {"team": arguments.team} if arguments.team else {})["keys"]
    emit(arguments, keys, _key_table(keys, "STATE", "state") if keys else "no keys")
    return 0


def rotate_key(arguments: argparse.Namespace) -> int:
    """Make a successor for a key and show it, this once."""
    made = _call(arguments, "keys.rotate", {"id": arguments.id, "overlap": arguments.overlap, **reason_of(arguments)})
    text = f"id   {made['id']}\nkey  {made['key']}\nThe key is shown this once: keep it now."
    emit(arguments, made, f"{text}\n{made['predecessor']} still holds until {made['predecessor_ends']}.")
    return 0


def revoke_key(arguments: argparse.Namespace) -> int:
    """End a key."""
    revoked = _call(arguments, "keys.revoke", {"id": arguments.id, **reason_of(arguments)})
    emit(arguments, revoked, f"{revoked['id']} of team {revoked['team']} is revoked since {revoked['revoked']}")
    return 0


def review_keys(arguments: argparse.Namespace) -> int:
    """The keys that need a look, or, with an id, the note that it was looked at."""
    if arguments.id:
        asked = {"id": arguments.id, "next": arguments.next, **reason_of(arguments)}
        reviewed = _call(arguments, "keys.review", asked)
        emit(arguments, reviewed, f"{reviewed['id']} is due for review on {reviewed['review']}")
        return 0
    keys = _call(arguments, "keys.review", {})["keys"]
    shown = [key | {"findings_text": ", ".join(key["findings"])} for key in keys]
    emit(arguments, keys, _key_table(shown, "FINDINGS", "findings_text") if shown else "no key needs a look")
    return 0


def _add_create(actions: Any, parents: list[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", parents=parents, help="make a key for a team and show it once")
    _add_terms(create)
    create.set_defaults(run=create_key)


def _add_register(actions: Any, parents: list[argparse.ArgumentParser]) -> None:
    register = actions.add_parser("register", parents=parents, help="let an ssh-ed25519 key log in (OLLAMA_AUTH=1)")
    register.add_argument("--public-key", required=True, metavar="FILE", type=Path, help="such as id_ed25519.pub")
    _add_terms(register)
    register.set_defaults(run=register_key)


def _add_terms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--team", required=True, help="a team of policy.yaml")
    parser.add_argument("--owner", default="", metavar="NAME", help="who answers for it (default: you)")
    parser.add_argument("--purpose", default="", help="what it is for")
    parser.add_argument("--expires", help="when it ends, such as 90d or 12h (default: 90d)")
    parser.add_argument("--unsafe-no-expiry", action="store_true", help="make a key that never ends by itself")
    parser.add_argument("--network", action="append", default=[], metavar="CIDR", help="where it may be used from")
    parser.add_argument("--scope", action="append", default=[], help="inference, models, metrics or admin")


def _terms(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `_add_terms` asked for, as arguments of an act."""
    asked = {
        "team": arguments.team,
        "owner": arguments.owner,
        "purpose": arguments.purpose,
        "expires": arguments.expires,
        "unsafe_no_expiry": arguments.unsafe_no_expiry,
        "networks": arguments.network,
        **reason_of(arguments),
    }
    return asked | ({"scopes": arguments.scope} if arguments.scope else {})


def _read_public_key(path: Path) -> str:
    """The key's two words without its comment; a private key given by mistake goes no further than this."""
    from policies.credentials.public_key import read_public_key

    try:
        with path.open("rb") as file:
            text = file.read(MAX_PUBLIC_KEY_BYTES).decode("ascii", errors="replace")
        read_public_key(text)
    except OSError as fault:
        raise CommandFault(f"{path}: {fault.strerror}", status=BAD_INPUT) from fault
    except ValueError as fault:
        raise CommandFault(f"{path}: {fault}", status=BAD_INPUT) from fault
    return " ".join(text.split()[:2])


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)


def _key_table(keys: list[dict[str, Any]], last_title: str, last_field: str) -> str:
    columns = ("id", "team", "owner", "purpose", "expires", "last_used", last_field)
    rows = [tuple(_cell(key, column) for column in columns) for key in keys]
    return table(("ID", "TEAM", "OWNER", "PURPOSE", "ENDS", "LAST USED", last_title), rows)


def _cell(key: dict[str, Any], column: str) -> str:
    if column == "last_used" and key.get("kind") == "ssh_key":
        return "not noted"  # uses of registered public keys stand in the audit log only
    return "never" if key[column] is None else str(key[column])
