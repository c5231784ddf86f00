"""Complaints about a home: its two files, who can read and write it, its certificate and its keys."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.configuration.config import ConfigFaults, load_config, load_policy
from gateway.configuration.settings import Config
from gateway.doctor.complaint import Complaint
from gateway.homes.home import Home
from gateway.policy_file.policy_reading import open_policy_file
from gateway.supervision.startup_checks import startup_faults
from gateway.supervision.startup_files import file_faults
from policies.certificates.tls_expiry import FileEnd, due_warnings
from policies.policy import Policy

SHOWN_KEYS = 5


def read_files(home: Home) -> tuple[Config | None, Policy | None, list[Complaint]]:
    """Both files, None for one that cannot be used, and what is wrong with them."""
    complaints: list[Complaint] = []
    config: Config | None = None
    policy: Policy | None = None
    try:
        config = load_config(home.config)
    except ConfigFaults as faults:
        complaints += map(_file_complaint, faults.faults)
    try:
        policy = load_policy(home.policy)
        if config is not None:
            open_policy_file(home.policy, config, home.path).load()  # whether it is signed, and whom it would call
    except ConfigFaults as faults:
        complaints += map(_file_complaint, faults.faults)
    return config, policy, complaints


def home_complaints(home: Home, config: Config, policy: Policy, *, has_key: bool, now_s: float) -> Iterator[Complaint]:
    """What is wrong with the files of a home whose configuration can be read. `now_s` is Unix time."""
    yield from _folder_complaints(home.path)
    for fault in (*file_faults(home, config), *startup_faults(config, policy, has_key)):
        yield Complaint(check="home", what=fault, why="'corral serve' does not start with it", remedy="change it")
    tls = config.tls
    yield from _end_complaints(
        "certificate", home.path / tls.certificate, "clients refuse an expired certificate", now_s
    )
    if tls.client_ca is not None:
        why = "clients' certificates of an expired authority are refused"
        yield from _end_complaints("client_ca", home.path / tls.client_ca, why, now_s)


def key_complaints(keys: Iterable[dict[str, Any]]) -> Iterator[Complaint]:
    """Of the act `keys.list`: active keys that never end."""
    endless = [str(key["id"]) for key in keys if key["state"] == "active" and key["expires"] is None]
    if endless:
        more = f" and {len(endless) - SHOWN_KEYS} more" if len(endless) > SHOWN_KEYS else ""
        yield Complaint(
            check="keys",
            what=f"{', '.join(endless[:SHOWN_KEYS])}{more} never expire",
            why="a key that leaked and was forgotten holds for ever",
            remedy="replace each by one with an end: 'corral keys create', then 'corral keys revoke'",
        )


def _file_complaint(fault: str) -> Complaint:
    return Complaint(check="files", what=fault, why="the file is not taken", remedy="correct it")


def _folder_complaints(folder: Path) -> Iterator[Complaint]:
    if stat.S_IMODE(folder.stat().st_mode) & 0o022:
        yield Complaint(
            check="home",
            what=f"{folder} can be written by others",
            why="they could put their own policy in place of yours",
            remedy=f"run 'chmod go-w {folder}'",
        )


def _end_complaints(file: str, path: Path, why: str, now_s: float) -> Iterator[Complaint]:
    """Of the first certificate: the server's own in a chain. Of a bundle of authorities, of the first that ends."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return  # told by `file_faults`, or by the gateway as it starts
    ends_s = [each.not_valid_after_utc.timestamp() for each in found]
    end = FileEnd(file, min(ends_s) if file == "client_ca" else ends_s[0])
    for warning in due_warnings((end,), now_s, frozenset()):
        when = "has expired" if warning.days == 0 else f"ends within {warning.days} days"
        yield Complaint(check="tls", what=f"{path} {when}", why=why, remedy="replace it")
