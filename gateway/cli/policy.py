"""`corral policy check|diff|sign|explain`: policy.yaml before it is taken, and what it decides.

No command writes the file: whoever edits it puts it in its place, and the running gateway takes it.
"""

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli import policy_explain
from gateway.cli.output import BAD_INPUT, CommandFault, complain, emit

if TYPE_CHECKING:
    from gateway.configuration.settings import Config
    from gateway.policy_file.policy_reading import Written
    from policies.policy import Policy


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `policy` and its actions."""
    policy = commands.add_parser("policy", help="check, compare and explain policy.yaml")
    actions = policy.add_subparsers(dest="action", required=True, metavar="ACTION")
    checking = actions.add_parser("check", parents=[common], help="every fault with its line, and what to look at")
    checking.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: policy.yaml in the home")
    checking.set_defaults(run=check)
    differing = actions.add_parser("diff", parents=[common], help="what FILE would change in the policy in force")
    differing.add_argument("file", metavar="FILE", type=Path)
    differing.set_defaults(run=diff)
    signing = actions.add_parser("sign", parents=[common], help="how to sign FILE; the signing is ssh-keygen's")
    signing.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: policy.yaml in the home")
    signing.add_argument(
        "--key", type=Path, default=Path("~/.ssh/id_ed25519"), help="the private key (default: ~/.ssh/id_ed25519)"
    )
    signing.set_defaults(run=sign)
    policy_explain.add_command(actions, common)


def check(arguments: argparse.Namespace) -> int:
    """Print all faults and end with status 2, or a summary and what is worth a second look."""
    from gateway.configuration.config import ConfigFaults

    path = _path(arguments)
    try:
        config = _config(arguments)
        written, policy = read_policy(path, config)
        signatures = _signatures(arguments, path, config)
    except ConfigFaults as faults:
        return _refuse(arguments, faults.faults)
    remarks = _remarks(arguments, path, written, policy)
    summary = {
        "file": str(path),
        "faults": [],
        "hash": written.hash,
        "teams": sorted(policy.teams),
        "warnings": [*remarks, *([signatures] if signatures.startswith("warning") else [])],
        "signatures": signatures,
    }
    count = f"{len(policy.teams)} team{'' if len(policy.teams) == 1 else 's'}"
    lines = [f"{path}: no fault, {count}, sha256 {written.hash}", *remarks, *filter(None, [signatures])]
    emit(arguments, summary, "\n".join(lines))
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """Print every value that FILE changes: against the running gateway, or against the home's file."""
    from msgspec import structs

    from gateway.cli.admin_client import call_act
    from gateway.cli.policy_keys import active_keys
    from gateway.configuration.config import ConfigFaults, read_policy_data
    from gateway.homes.home import open_home
    from policies.policy_file.policy_diff import diff_policies, orphan_warnings

    home = open_home(arguments.home)
    try:
        written, after = read_policy(arguments.file, _config(arguments))
    except ConfigFaults as faults:
        return _refuse(arguments, faults.faults)
    shown = call_act(home, "policy.show", {})
    try:
        before = read_policy_data(shown["policy"])
    except ConfigFaults:
        raise CommandFault("the running gateway is of another version: use the command of its version") from None
    found = diff_policies(before, after)
    warnings = orphan_warnings(before, after, active_keys(home))
    where = "the running gateway" if shown["hash"] else str(home.policy)
    data = {
        "against": where,
        "before_hash": shown["hash"],
        "after_hash": written.hash,
        "changes": [structs.asdict(each) for each in found],
        "warnings": list(warnings),
    }
    lines = [*(each.text for each in found), *(f"warning: {text}" for text in warnings)]
    emit(arguments, data, "\n".join(lines) or f"no change against {where}")
    return 0


def sign(arguments: argparse.Namespace) -> int:
    """Print the command that signs FILE, who has to, and in which order the files are put in place."""
    import shlex

    from gateway.policy_file.policy_reading import NAMESPACE

    path, config = _path(arguments), _config(arguments)
    signers = config.policy.signers if config is not None else None
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(arguments.key.expanduser()), str(path)]
    names = [each.name for each in signers.read()] if signers else []
    needed = signers.required if signers else 0
    who = f"{needed} of: {', '.join(names)}" if signers else "nobody has to: config.yaml names no policy.signers"
    order = f"who signs: {who}\nmove each {path.name}.*.sig beside policy.yaml first, then rename the policy itself"
    emit(arguments, {"command": command, "signers": names, "required": needed}, f"{shlex.join(command)}\n{order}")
    return 0


def read_policy(path: Path, config: "Config | None" = None) -> "tuple[Written, Policy]":
    """The policy in `path` and the bytes it was read from, whoever signed it; judged by the ways out of `config` too.

    Raises ConfigFaults.
    """
    from gateway.policy_file.policy_reading import PolicyFile
    from policies.addresses.egress import ANYWHERE

    file = PolicyFile(path, None, egress=config.egress if config is not None else ANYWHERE)
    written = file.read()
    return written, file.judge(written).policy


def _path(arguments: argparse.Namespace) -> Path:
    from gateway.homes.home import open_home

    return Path(arguments.file) if arguments.file is not None else open_home(arguments.home).policy


def _remarks(arguments: argparse.Namespace, path: Path, written: "Written", policy: "Policy") -> list[str]:
    from gateway.cli.policy_files import file_remarks
    from gateway.cli.policy_keys import active_keys
    from gateway.configuration.yaml_tree import read_tree
    from gateway.homes.home import NoHome, open_home
    from policies.policy_file.policy_diff import teamless_keys
    from policies.policy_file.policy_review import review_policy

    remarks = [*review_policy(policy)]
    orphans: tuple[str, ...] = ()
    with contextlib.suppress(NoHome):
        home = open_home(arguments.home)
        remarks += file_remarks(policy, home.path)
        orphans = teamless_keys(policy, active_keys(home))
    tree = read_tree(written.data.decode("utf-8-sig"))
    placed = [f"{path}:{tree.line_of(each.path)}: {'.'.join(each.path)} {each.text}" for each in remarks]
    return [f"warning: {text}" for text in (*placed, *orphans)]


def _signatures(arguments: argparse.Namespace, path: Path, config: "Config | None") -> str:
    """Who signed FILE, where somebody has to; nothing to say where nobody has."""
    from gateway.homes.home import open_home
    from gateway.policy_file.policy_reading import Unsigned, open_policy_file

    if config is None or config.policy.signers is None:
        return ""
    file = open_policy_file(path, config, open_home(arguments.home).path)
    try:
        return f"signed by {file.judge(file.read()).author}"
    except Unsigned as fault:
        return f"warning: {fault}"


def _config(arguments: argparse.Namespace) -> "Config | None":
    """The home's config.yaml; none where there is no home. Raises CommandFault for one with faults."""
    from gateway.configuration.config import ConfigFaults, load_config
    from gateway.homes.home import NoHome, open_home

    try:
        return load_config(open_home(arguments.home).config)
    except NoHome:
        return None
    except ConfigFaults as faults:
        raise CommandFault(f"the home's config.yaml cannot be used: {faults.faults[0]}", status=BAD_INPUT) from None


def _refuse(arguments: argparse.Namespace, faults: tuple[str, ...]) -> int:
    """All faults, one line each on stderr (with --json as JSON on stdout); status 2."""
    if arguments.json:
        emit(arguments, {"file": str(_path(arguments)), "faults": list(faults), "warnings": []}, "")
    else:
        for fault in faults:
            complain(CommandFault(fault))
    return BAD_INPUT
