"""`corral policy explain`: which step decides about a request, and which setting stands behind it.

Three ways to ask: for a caller made up from --team or --key-id, for the bearer of a token (--jwt FILE), and for
a request of the past (--request ID), from the audit log.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.output import BAD_INPUT, CommandFault, emit
from gateway.cli.policy_request import explain_request
from gateway.cli.policy_setting import decided_by, read_named, setting_of

if TYPE_CHECKING:
    from gateway.explain import Case, Explanation, FindModel, Prove
    from policies.call import ModelCard
    from policies.credentials.principal import Principal
    from policies.policy import Policy

KINDS = ("api_key", "jwt", "certificate", "ssh_key")
Json = dict[str, Any]


def add_command(actions: Any, common: argparse.ArgumentParser) -> None:
    """Declare `explain`."""
    parser = actions.add_parser("explain", parents=[common], help="which step decides about a request, and by what")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--team", help="a caller of this team")
    who.add_argument("--key-id", help="the holder of this key")
    who.add_argument("--jwt", type=Path, metavar="FILE", help="the bearer of the token in FILE")
    who.add_argument("--request", metavar="ID", help="a request in the audit log")
    parser.add_argument("--kind", choices=KINDS, default="api_key", help="with --team: of credential")
    parser.add_argument("--scope", action="append", help="with --team (default: inference, models); may repeat")
    parser.add_argument("--address", default="127.0.0.1", help="where it comes from (default: 127.0.0.1)")
    parser.add_argument("--route", default="POST /api/chat", help="method and path (default: 'POST /api/chat')")
    parser.add_argument("--model", default="", help="the model it names")
    parser.add_argument("--listener", choices=("public", "admin", "console"), default="public")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="default: policy.yaml in the home")
    parser.set_defaults(run=explain)


def explain(arguments: argparse.Namespace) -> int:
    """Run the steps, or look the request up; print what each says and what decided."""
    if arguments.request is not None:
        return explain_request(arguments)
    from gateway.explain import explain as run
    from gateway.route_tables import tables_to_read

    path, written, policy = read_named(arguments)
    notes: list[str] = []
    running = _running(arguments)
    if running is not None and arguments.policy is None and running["policy"]["hash"] != written.hash:
        notes.append("the running gateway is under another policy than this file: 'corral status' says which and why")
    case = _case(arguments, policy, _finder(arguments, running, notes))
    tables = tables_to_read()
    found = run(case, policy, tables[case.listener])
    setting = setting_of(found.decider, path, written)
    data = {
        "allowed": found.status == 200,
        "status": found.status or None,
        "reason": found.reason,
        "steps": [{"number": s.number, "name": s.name, "outcome": s.outcome, "text": s.text} for s in found.steps],
        "notes": notes,
        **setting,
    }
    emit(arguments, data, _text(found, setting, notes))
    return 0


# ---- a caller


def _case(arguments: argparse.Namespace, policy: "Policy", find_model: "FindModel") -> "Case":
    from gateway.explain import Case
    from policies.addresses.networks import read_address

    try:
        read_address(arguments.address)
    except ValueError:
        raise CommandFault("--address must be an IP address", status=BAD_INPUT) from None
    words = arguments.route.split()
    if len(words) != 2 or not words[0].isalpha():
        raise CommandFault("--route must be a method and a path, such as 'POST /api/chat'", status=BAD_INPUT)
    return Case(
        method=words[0].upper(),
        target=words[1],
        address=arguments.address,
        listener=arguments.listener,
        model=arguments.model,
        prove=_prover(arguments, policy),
        find_model=find_model,
    )


def _prover(arguments: argparse.Namespace, policy: "Policy") -> "Prove":
    if arguments.key_id is not None:
        return _holder_of(arguments)
    if arguments.jwt is not None:
        return _bearer_of(arguments, policy)
    from policies.addresses.networks import Networks
    from policies.credentials.principal import Principal

    scopes = frozenset(arguments.scope or ("inference", "models"))
    return lambda: Principal(kind=arguments.kind, team=arguments.team, scopes=scopes, networks=Networks())


def _holder_of(arguments: argparse.Namespace) -> "Prove":
    """Who holds the key, as the key store knows it. Raises CommandFault for an unknown one."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home
    from policies.addresses.networks import Networks
    from policies.credentials.principal import Principal
    from policies.errors import NotAuthenticated

    keys = call_act(open_home(arguments.home), "keys.list", {})["keys"]
    key = next((each for each in keys if each["id"] == arguments.key_id), None)
    if key is None:
        raise CommandFault("no key has this id: 'corral keys list' shows them", status=BAD_INPUT)

    def prove() -> "Principal":
        if key["state"] != "active":
            raise NotAuthenticated(key["state"], presented=True, key_id=key["id"])
        return Principal(
            kind=key.get("kind", "api_key"),
            team=key["team"],
            key_id=key["id"],
            owner=key["owner"],
            scopes=frozenset(key["scopes"]),
            networks=Networks(allow=tuple(key["networks"]) or None),
        )

    return prove


def _bearer_of(arguments: argparse.Namespace, policy: "Policy") -> "Prove":
    import time

    from gateway.offline_token import verify_offline

    try:
        text = arguments.jwt.read_text("ascii").strip().removeprefix("Bearer ")
    except OSError as fault:
        raise CommandFault(f"{arguments.jwt} cannot be read: {fault.strerror}", status=BAD_INPUT) from None
    except UnicodeDecodeError:
        raise CommandFault(f"{arguments.jwt} holds no token: a token is ASCII", status=BAD_INPUT) from None
    return lambda: verify_offline(text, policy.issuers, arguments.home, time.time())


def _finder(arguments: argparse.Namespace, running: Json | None, notes: list[str]) -> "FindModel":
    """The running gateway's models; without one, every name that can be one is assumed to be there."""
    from engine.store.model_name import parse_model_name
    from policies.call import ModelCard

    if running is None and arguments.model:
        notes.append("no gateway runs here: the model is assumed to be there")

    def find(name: str) -> "ModelCard | None":
        try:
            key = parse_model_name(name).key
        except ValueError:
            return None
        known = {each.lower(): each for each in running["models"]} if running is not None else {key: key}
        if key not in known:
            return None
        parent = str((running or {}).get("adapters", {}).get(known[key], ""))
        return ModelCard(name=known[key], digest="", size_bytes=0, modified_at=0.0, parent=parent)

    return find


def _running(arguments: argparse.Namespace) -> Json | None:
    """What the running gateway says of itself; None when none runs."""
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import Home

    home = Home(arguments.home)
    if not home.admin_socket.exists():
        return None
    return call_act(home, "status", {})


def _text(found: "Explanation", setting: Json, notes: list[str]) -> str:
    rows = [f"({step.number})".ljust(5) + f"{step.name:<15} {step.outcome:<8} {step.text}" for step in found.steps]
    return "\n".join([*rows, *decided_by(setting), *notes])
