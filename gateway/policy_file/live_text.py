"""The text of the policy in force, found by its hash: what is shown is what was taken, whatever the file says now."""

from pathlib import Path

import msgspec

from gateway.configuration.config import ConfigFaults, policy_hash, read_file
from gateway.policy_file.kept_policy import KEPT_FILE
from gateway.policy_file.policy_reading import Written


def live_text(run: Path, file: Path, in_force: str) -> str | None:
    """The text with the SHA-256 `in_force`: as it was kept in `run`, else as it stands in `file`; None for neither.

    Blocks on the disk.
    """
    for data in (_kept(run / KEPT_FILE), _file(file)):
        if data is not None and policy_hash(data) == in_force:
            return data.decode("utf-8-sig", "replace")
    return None


def _kept(path: Path) -> bytes | None:
    data = _file(path)
    try:
        return msgspec.msgpack.decode(data, type=Written).data if data is not None else None
    except msgspec.DecodeError:
        return None


def _file(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except ConfigFaults:
        return None
