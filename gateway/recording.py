"""What one gateway process keeps beside its writing log: anchors, counts, sampling, segments, upkeep; joined here."""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import to_builtins

from gateway.audit.anchors import AnchoredLog, Anchors, open_places
from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_keeping import AuditKeeping
from gateway.audit.audit_log import AuditLog, AuditNotOpened
from gateway.audit.counts import CountedLog, OpenRuns
from gateway.audit.hold_book import HoldBook
from gateway.audit.log_upkeep import LogUpkeep
from gateway.audit.retention_book import RetentionBook
from gateway.audit.segment_keeper import SegmentKeeper
from gateway.audit.standing_facts import hosts_told, keys_told, models_told, settings_told
from gateway.audit.standing_records import StandingRecords
from gateway.audit.vault import Vault
from gateway.clock import Clock, unix_s
from gateway.gate import Gate
from gateway.keys.key_store import KeyStore
from gateway.machine.clock_state import read_clock_state
from gateway.outbound import OutboundFault
from gateway.setting import Setting
from policies.auditing.refusal_sampling import RefusalSampling

Note = Callable[[str, dict[str, str | int | float | bool]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """See the head of the module. `counted` is the log that requests are recorded in."""

    anchors: Anchors
    runs: OpenRuns
    counted: CountedLog
    sampling: RefusalSampling
    keeping: AuditKeeping
    upkeep: LogUpkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeld:
    """An open log of this process: in the folder `place` of the home's audit folder, its people in `vault`."""

    log: AuditLog
    place: str
    process: str
    vault: Vault


def open_recording(setting: Setting, held: LogHeld, clock: Clock, note: Note) -> Recording:
    """All of it, nothing running yet. Raises AuditNotOpened for a file of the anchors that cannot be read."""
    anchors, runs = _open_anchors(setting, held.place, clock, note), OpenRuns()
    anchored = AnchoredLog(held.log, anchors.refuses)
    audit = setting.config.audit
    sampling = RefusalSampling(audit.full_refusals_per_minute)
    return Recording(
        anchors=anchors,
        runs=runs,
        counted=CountedLog(anchored, runs, held.process, unix_s(clock)),
        sampling=sampling,
        keeping=_open_keeping(setting, held, sampling),
        upkeep=LogUpkeep(setting.home.audit, held.place, held.log, audit, held.vault.persons),
    )


def standing_records(setting: Setting, held: LogHeld, gate: Gate, keys: KeyStore, anchors: Anchors) -> StandingRecords:
    """What is in force, told to the log for its reports."""
    config, clock, persons = setting.config, gate.clock, held.vault.persons
    return StandingRecords(
        {
            "inventory.keys": lambda: keys_told(
                (*keys.records(), *keys.public_keys.records()), unix_s(clock), persons.pseudonym
            ),
            "inventory.settings": lambda: settings_told(config, gate.in_force.policy),
            "inventory.egress": lambda: hosts_told(config, gate.in_force.policy),
            "inventory.models": lambda: models_told(gate.catalogue.cards()),
            "inventory.clock": lambda: to_builtins(read_clock_state()),
            "inventory.anchors": lambda: {"places": anchors.shown()["places"]},
        },
        held.log.record,
        lambda: unix_s(clock),
    )


def _open_anchors(setting: Setting, place: str, clock: Clock, note: Note) -> Anchors:
    audit, home = setting.config.audit, setting.home
    folder = home.audit / place
    try:
        places = open_places(setting.config, home.path, folder, lambda: unix_s(clock))
    except OSError as fault:
        named = fault.filename or "a certificate of audit.witnesses or audit.anchors"
        raise AuditNotOpened(f"cannot use {named}: {fault.strerror or fault}: see audit in config.yaml") from None
    except OutboundFault as fault:
        raise AuditNotOpened(f"{fault}: see audit and egress in config.yaml") from None
    return Anchors(audit, places, folder, clock, note)


def _open_keeping(setting: Setting, held: LogHeld, sampling: RefusalSampling) -> AuditKeeping:
    audit, writer = setting.home.audit, held.log.writer
    keeper = SegmentKeeper(audit / held.place, RealDisk(), lambda: writer.open_from, lambda: writer.closed)
    days, in_force = setting.config.audit.retention_days, RetentionBook(audit).days_to_prune_by
    return AuditKeeping(held.log, keeper, HoldBook(audit), days, sampling, in_force)
