"""Which chains a command is about: those of a folder that was named, else those of the home."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.output import CommandFault
from gateway.homes.home import NoHome, open_home

if TYPE_CHECKING:
    from gateway.audit.trusted_keys import TrustedKeys

UNREADABLE = 3
"""The exit status for a log that cannot be read, and for bad input beside it."""


@dataclass(frozen=True, slots=True)
class FoundChains:
    """`audit` is the folder that the chains lie in; `whole` that all of them are meant."""

    audit: Path
    folders: tuple[Path, ...]
    whole: bool


def find_log(arguments: argparse.Namespace) -> FoundChains:
    """The chains in DIR (a chain, an audit folder or a home), else in the home. Raises CommandFault."""
    from gateway.audit.audit_files import is_chain

    folder = (arguments.folder or _home_audit(arguments.home)).absolute()
    try:
        if (folder / "audit").is_dir():
            folder = folder / "audit"
        if is_chain(folder):
            return FoundChains(folder.parent, (folder,), whole=False)
        chains = tuple(sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_chain(entry)))
    except OSError as fault:
        raise CommandFault(f"cannot read {folder}: {fault.strerror}", status=UNREADABLE) from None
    if not chains:
        raise CommandFault(f"no audit chain in {folder}: name a home, its audit folder or a chain", status=UNREADABLE)
    return FoundChains(folder, chains, whole=True)


def find_chains(arguments: argparse.Namespace) -> list[Path]:
    """Their folders. Raises CommandFault."""
    return list(find_log(arguments).folders)


def find_keys(arguments: argparse.Namespace, log: FoundChains) -> "TrustedKeys":
    """The verifier keys in `--vkey FILE`, else those listed beside the chains. Raises CommandFault."""
    from gateway.audit.audit_key import UnfitAuditKey
    from gateway.audit.trusted_keys import read_trusted_keys

    try:
        return read_trusted_keys(log.audit, arguments.vkey)
    except UnfitAuditKey as fault:
        raise CommandFault(str(fault), status=UNREADABLE) from None
    except OSError as fault:
        raise CommandFault(f"cannot read {arguments.vkey}: {fault.strerror}", status=UNREADABLE) from None


def _home_audit(home: Path) -> Path:
    try:
        return open_home(home).audit
    except NoHome as fault:
        raise CommandFault(str(fault), status=UNREADABLE) from None
