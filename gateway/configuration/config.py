"""Reads the two files an operator writes, once, at the edge. After this module nobody validates again.

All faults of a file are listed together, one a line: `file:line: path.to.key: what is wrong`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gateway.configuration.called_hosts import called_by_policy, uncalled
from gateway.configuration.config_checks import config_misfits, policy_misfits
from gateway.configuration.config_faults import Misfits, fit
from gateway.configuration.settings import Config
from gateway.configuration.yaml_tree import Misfit, Tree, YamlFault, read_tree
from gateway.homes.plain_file import open_plain
from policies.addresses.egress import ANYWHERE, Egress
from policies.auditing.report_prices import Prices
from policies.policy import Policy

T = TypeVar("T")
MAX_FILE_BYTES = 1024 * 1024
"""A policy of a thousand teams is a tenth of it."""
PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class ConfigFaults(Exception):
    """A file cannot be used. The message is all its faults, one a line; `faults` has them one by one."""

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(str(self).splitlines())


def load_config(path: Path) -> Config:
    """The machine's settings from `path`. Raises ConfigFaults."""
    return parse_config(read_file(path), path)


def load_policy(path: Path) -> Policy:
    """The people's policy from `path`. Raises ConfigFaults."""
    return parse_policy(read_file(path), path)


def load_prices(path: Path) -> Prices:
    """The operator's prices from `path`, for the cost report. Raises ConfigFaults."""
    return _parse(read_file(path), path, Prices, lambda _prices: ())


def parse_config(data: bytes, path: Path) -> Config:
    """`load_config` for bytes already read; `path` is for the faults only."""
    return _parse(data, path, Config, config_misfits)


def parse_policy(data: bytes, path: Path, egress: Egress = ANYWHERE) -> Policy:
    """`load_policy` for bytes already read, so that what is hashed is what is used.

    A policy that names hosts which `egress` does not let be called has faults too.
    """

    def misfits(policy: Policy) -> Iterator[Misfit]:
        yield from policy_misfits(policy)
        yield from uncalled(egress, called_by_policy(policy))

    return _parse(data, path, Policy, misfits)


def read_policy_data(data: dict[str, Any]) -> Policy:
    """The policy in plain data that a gateway of this version showed. Raises ConfigFaults when it does not fit."""
    try:
        return fit(Tree(data, {}), Policy, policy_misfits)
    except Misfits as misfits:
        faults = "\n".join(f"{_dotted(misfit)}{misfit.text}" for misfit in misfits.found)
        raise ConfigFaults(faults) from None


def policy_hash(data: bytes) -> str:
    """SHA-256 in hex of a policy file's bytes, which audit records carry."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: Path) -> bytes:
    """A file's bytes, at most `MAX_FILE_BYTES`. Raises ConfigFaults with one line that says what to do."""
    try:
        with open_plain(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigFaults(f"{path}: is not there: restore it, or name another file") from None
    except OSError as fault:
        raise ConfigFaults(f"{path}: cannot be read: {fault.strerror}: let Corral's user read it") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigFaults(f"{path}: is larger than {MAX_FILE_BYTES} bytes: this is not a file Corral takes")
    return data


def _parse(data: bytes, path: Path, kind: type[T], spanning: Callable[[T], Iterable[Misfit]]) -> T:
    try:
        tree = read_tree(_decode(data))
    except YamlFault as fault:
        raise ConfigFaults(f"{path}:{fault.line}: {fault.text}") from None
    try:
        return fit(tree, kind, spanning)
    except Misfits as misfits:
        raise ConfigFaults("\n".join(_lines(misfits.found, tree, path))) from None


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise YamlFault(data.count(b"\n", 0, fault.start) + 1, "not UTF-8: save the file in that encoding") from None


def _lines(misfits: list[Misfit], tree: Tree, path: Path) -> list[str]:
    """The misfits as text, in the order of their lines."""
    placed = [(misfit.line or tree.line_of(misfit.path), misfit) for misfit in misfits]
    placed.sort(key=lambda pair: pair[0])
    return [f"{path}:{line}: {_dotted(misfit)}{misfit.text}" for line, misfit in placed]


def _dotted(misfit: Misfit) -> str:
    """The path of a key; a key that is not a plain word is quoted, so that it cannot look like something else."""
    words = [str(step) if PLAIN_KEY.match(str(step)) else ascii(str(step)[:64]) for step in misfit.path]
    return f"{'.'.join(words)}: " if words else ""
