"""Makes a home: whole or not at all.

Everything is built in a directory beside the home-to-be and takes its name in one rename, so an
interruption at any moment leaves either nothing or a complete home, and a home that exists is never
touched. No password, key or certificate comes with the product: each home has its own from the start.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.admin.first_records import write_first_records
from gateway.admin.new_home_files import CONFIG_YAML, FIRST_TEAM, POLICY_YAML
from gateway.homes.certificate_series import LATER
from gateway.homes.home import Home
from gateway.homes.local_ca import issue_server_tls
from gateway.homes.private_file import sync_directory, write_private
from gateway.keys.first_key import leave_first_key
from gateway.keys.key_changes import audit_change
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers, new_pepper_text
from policies.audit_record import Actor, Change, Decision, Stamp, admin_record
from policies.credentials.api_key import NewKey, mint
from policies.credentials.key_record import KeyRecord, new_record

FIRST_SCOPES = frozenset({"inference", "models"})


class HomeNotMade(Exception):
    """There is something in the way; the message is one line with the path and what to do."""


@dataclass(frozen=True, slots=True)
class NewHome:
    """The home just made, its first key, and what is kept of that key."""

    home: Home
    first_key: NewKey
    record: KeyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePlan:
    """What a new home is made from.

    `names` are the host names and addresses of its certificate, beyond localhost and loopback; `actor` is
    who makes it, and owner of the first key; `leave_key` writes that key to a file, for want of a
    terminal to show it.
    """

    names: tuple[str, ...]
    actor: Actor
    leave_key: bool
    stamp: Stamp
    random_bytes: Callable[[int], bytes]

    @property
    def now_s(self) -> float:
        """Unix seconds."""
        return self.stamp.unix_us / 1e6


def make_home(path: Path, plan: HomePlan) -> NewHome:
    """Make the home at `path`, lasting when this returns.

    Raises HomeNotMade when anything but an empty directory is there, ValueError for a name that no
    certificate can carry, and OSError, PolicyUnavailable, AuditNotOpened or AuditUnavailable when the disk refuses.
    """
    target = path.absolute()
    _require_room(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    try:
        key, record = _fill(Home(building), plan)
        _take_name(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return NewHome(Home(target.resolve()), key, record)


def _require_room(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise HomeNotMade(f"{target} is {_kind(target)}: nothing was changed; move it away or name another --home")


def _kind(target: Path) -> str:
    if not target.is_dir():
        return "a file or a dangling link"
    return "already a Corral home" if Home(target).config.exists() else "not empty"


def _fill(home: Home, plan: HomePlan) -> tuple[NewKey, KeyRecord]:
    for directory in (home.tls, home.models, home.audit, home.run):
        directory.mkdir(mode=0o700)
    write_private(home.config, CONFIG_YAML.encode(), mode=0o600)
    write_private(home.policy, POLICY_YAML.encode(), mode=0o600)
    write_private(home.pepper, new_pepper_text(plan.random_bytes).encode(), mode=0o400)
    _fill_tls(home, plan)
    key = mint(plan.random_bytes)
    record = _first_record(home, plan, key)
    with closing(KeyStore.create(home.keys)) as store:
        store.save(record)
    _fill_audit(home, plan, record)
    if plan.leave_key:
        leave_first_key(home, key.text)
    sync_directory(home.tls)
    sync_directory(home.path)
    return key, record


def _fill_tls(home: Home, plan: HomePlan) -> None:
    tls = issue_server_tls(plan.names, datetime.fromtimestamp(plan.now_s, UTC))
    write_private(home.ca_certificate, tls.ca_pem, mode=0o644)
    write_private(home.tls / "server.pem", tls.certificate_pem, mode=0o644)
    write_private(home.tls / LATER, tls.later_pem, mode=0o644)
    write_private(home.tls / "server.key", tls.key_pem, mode=0o600)


def _first_record(home: Home, plan: HomePlan, key: NewKey) -> KeyRecord:
    record = new_record(key, load_peppers(home.pepper), plan.now_s, team=FIRST_TEAM, scopes=FIRST_SCOPES)
    maker = plan.actor.name
    return replace(record, created_by=maker, owner=maker, purpose="first key, made by corral init")


def _fill_audit(home: Home, plan: HomePlan, record: KeyRecord) -> None:
    allow = Decision(effect="allow")
    made = Change(object="home", details={"names": " ".join(plan.names)})
    entries = (
        admin_record("home.made", plan.stamp, plan.actor, made, allow),
        admin_record("key.created", plan.stamp, plan.actor, audit_change(record, None, "", ""), allow),
    )
    write_first_records(home, entries)


def _take_name(building: Path, target: Path) -> None:
    try:
        building.rename(target)  # replaces an empty directory, never a full one
    except OSError as fault:
        raise HomeNotMade(f"{target} cannot be made ({os.strerror(fault.errno or 0)}): nothing was changed") from fault
    sync_directory(target.parent)
