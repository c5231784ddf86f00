"""The policy file a command is about, and where in it the setting stands that decided."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.output import BAD_INPUT, CommandFault

if TYPE_CHECKING:
    from gateway.policy_file.policy_reading import Written
    from policies.policy import Policy
    from policies.policy_file.deciding_setting import Decider

Json = dict[str, Any]


def read_named(arguments: argparse.Namespace) -> "tuple[Path, Written, Policy]":
    """The policy that --policy names, else the home's: its path, bytes and value. Raises CommandFault."""
    from gateway.configuration.config import ConfigFaults
    from gateway.homes.home import open_home
    from gateway.policy_file.policy_reading import PolicyFile

    path = arguments.policy if arguments.policy is not None else open_home(arguments.home).policy
    file = PolicyFile(path, None)
    try:
        written = file.read()
        return path, written, file.judge(written).policy
    except ConfigFaults as faults:
        raise CommandFault(faults.faults[0], status=BAD_INPUT) from None


def setting_of(found: "Decider | None", path: Path, written: "Written") -> Json:
    """The setting that decided, with its line in the file; nothing where no setting did."""
    from gateway.configuration.yaml_tree import read_tree

    if found is None or not found.setting:
        return {"setting": None, "file": str(path), "line": None}
    line = read_tree(written.data.decode("utf-8-sig")).line_of(found.setting)
    return {"setting": ".".join(found.setting), "file": str(path), "line": line}


def decided_by(setting: Json) -> list[str]:
    """`setting_of` as a line for people; no line where no setting did."""
    if setting["setting"] is None:
        return []
    line = f" ({setting['file']}:{setting['line']})" if setting["line"] else ""
    return [f"decided by {setting['setting']}{line}"]
