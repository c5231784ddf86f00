"""What a gateway does every second, whatever the requests do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.audit.audit_log import AuditLog
from gateway.audit.chain_lookout import ChainLookout
from gateway.audit.persons import Persons
from gateway.certificate_verifier import CertificateVerifier
from gateway.clock import Clock, unix_s
from gateway.http.tls_reload import TlsReload
from gateway.keys.grant_store import grant_details
from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from gateway.keys.trusted_copy import TrustedCopy
from gateway.running import Running
from gateway.stream_watch import StreamWatch
from gateway.worker_deaths import WorkerDeaths
from policies.errors import AuditUnavailable, PolicyUnavailable

log = structlog.get_logger("corral.gateway")

ROUND_S = 1.0
"""How late a key revoked by another process of this host may still be used."""

Note = Callable[[str, dict[str, str | int | float | bool]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """The parts that want a look each second; `tls` is None where every listener is in clear."""

    clock: Clock
    audit_log: AuditLog
    note: Note
    tls: TlsReload | None
    certificates: CertificateVerifier
    running: Running
    copy: TrustedCopy
    keys: KeyStore
    streams: StreamWatch
    key_watch: KeyWatch
    deaths: WorkerDeaths
    lookout: ChainLookout
    persons: Persons

    async def run(self) -> None:
        """A round each `ROUND_S`, until cancelled."""
        while True:
            await asyncio.sleep(ROUND_S)
            self._round()

    def _round(self) -> None:
        """Hear of keys that other processes changed, write down uses, warn of ends, see whether the log is back."""
        self.audit_log.try_again()
        self._look_at_tls()
        try:
            self.persons.refresh()
        except AuditUnavailable as fault:
            log.error("persons_fault", reason=fault.reason)
        try:
            self.copy.refresh()
            self.keys.flush()
        except PolicyUnavailable as fault:
            log.error("key_store_fault", reason=fault.reason)
        self.streams.look()
        if self.audit_log.available:  # what is told once is not told while it would be lost
            self.key_watch.look_at_ends()
            self.deaths.look()
            self._end_grants()
            self.lookout.look(self.clock.mono_ns() / 1e9)

    def _look_at_tls(self) -> None:
        """Take changed files over, and cut what a client certificate carries that no longer holds."""
        if self.tls is not None:
            self.tls.look(unix_s(self.clock))
            self.running.judge_certificates(self.certificates.require)

    def _end_grants(self) -> None:
        """Close the grants whose time is up; each is told by the one gateway that closed it."""
        try:
            for grant in self.keys.grants.end_those_due(unix_s(self.clock)):
                self.note("grant.ended", {"grant": grant.id, **grant_details(grant)})
        except PolicyUnavailable as fault:
            log.error("key_store_fault", reason=fault.reason)
