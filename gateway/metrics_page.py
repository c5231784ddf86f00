"""What /metrics shows: counters as they ran, and what each part of this process knows at the moment of asking."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.frames import Counters
from engine.residency import Residence
from gateway.audit.audit_log import AuditLog
from gateway.backdoor.back_door import BackDoorWatch
from gateway.clock import Clock, unix_s
from gateway.dispatcher import Dispatcher
from gateway.http.listener import Listener
from gateway.http.tls_reload import TlsReload
from gateway.keys.key_watch import KeyWatch
from gateway.limits.fallback_store import FallbackStore
from gateway.metrics import Metrics
from gateway.running import Running
from gateway.tokens.token_verifier import TokenVerifier
from gateway.worker_deaths import WorkerDeaths
from policies.access import ListenerName
from policies.auditing.refusal_sampling import RefusalSampling


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """The parts that are asked. `counters` are the workers' own, by target; `listeners` those open by then."""

    metrics: Metrics
    clock: Clock
    dispatcher: Dispatcher
    running: Running
    listeners: Mapping[ListenerName, Listener]
    counters: Callable[[], Awaitable[dict[str, Counters]]]
    residences: Callable[[], tuple[Residence, ...]]
    deaths: WorkerDeaths
    key_watch: KeyWatch
    tokens: TokenVerifier
    audit_log: AuditLog
    sampling: RefusalSampling
    back_door: BackDoorWatch
    shared: FallbackStore | None
    tls: TlsReload | None

    async def page(self) -> bytes:
        """The page as of now, in Prometheus' text format."""
        counters = await self.counters()
        self._show_doors()
        self._show_keys()
        self._show_engines()
        self.metrics.audit_log(self.audit_log.disk_state, self.sampling.sampled)
        self.metrics.back_doors(self.back_door.doors.findings())
        if self.shared is not None:
            self.metrics.shared_store(self.shared.state())
        return self.metrics.page(self.dispatcher, counters, self.running.waiting())

    def _show_doors(self) -> None:
        for name, listener in self.listeners.items():
            self.metrics.door(name, listener.open_connections, listener.counts)
        if self.tls is not None:
            self.metrics.tls_ends(self.tls.ends, unix_s(self.clock))

    def _show_keys(self) -> None:
        self.metrics.key_ends(self.key_watch.ends())
        self.metrics.key_sets(self.tokens.key_set_ages())

    def _show_engines(self) -> None:
        self.deaths.look()
        self.metrics.residences(self.residences())
        suspects = self.dispatcher.suspects
        self.metrics.deaths(self.deaths.processes(), suspects.counts())
        self.metrics.suspect_callers(suspects.callers())
