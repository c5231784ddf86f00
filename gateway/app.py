"""One gateway process, composed: the one place where parts are made and joined.

Order at the start: what may refuse comes first (files, keys, log), then the engines connect, then the
listeners accept. Order at the end: readiness falls, nothing new is accepted, streams finish or are
cut, records are written, and only then the log closes.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

import structlog

from engine.frames import Counters
from engine.interface import TargetState
from engine.residency import Residence
from gateway.admin.admin_socket import AdminSocket
from gateway.admin.consents import signers_of
from gateway.admin.request_expiry import keep_to_expiry
from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.audit_place import hold_place, this_host
from gateway.audit.chain_lookout import ChainLookout
from gateway.audit.content_keeper import ContentKeeper
from gateway.audit.content_retention import keep_to_retention
from gateway.audit.count_records import CountRecords
from gateway.audit.disk_guard import DiskGuard
from gateway.audit.index.index_keeper import IndexKeeper
from gateway.audit.sealed_record import RecordSealer
from gateway.audit.signed_log import sign_log
from gateway.audit.vault import Vault, opened_vault
from gateway.backdoor.back_door import watch_from
from gateway.certificate_verifier import CertificateVerifier
from gateway.clock import Clock, SystemClock, unix_s
from gateway.console.composed import OpenedConsole, open_console
from gateway.console.judge import Judge
from gateway.console.live_hour import LiveHour
from gateway.console.overview_figures import Endings
from gateway.console.session_verifier import SessionVerifier
from gateway.console.sessions import Sessions
from gateway.console.world import World
from gateway.dialects import ollama, openai
from gateway.dialects.contract import Dialect
from gateway.dispatcher import Dispatcher, MakeScheduler
from gateway.engines import open_engines, open_pool
from gateway.exchange import Exchange
from gateway.gate import Gate
from gateway.homes.run_folder import PROCESSES_FILE
from gateway.housekeeping import Housekeeping
from gateway.http.door import Door
from gateway.http.listener import Listener
from gateway.identity import Identity, Verifiers
from gateway.keys.api_key_verifier import ApiKeyVerifier
from gateway.keys.first_key import forget_first_key
from gateway.keys.key_addresses import KeyAddresses
from gateway.keys.key_sharing import open_sharing
from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from gateway.keys.pepper import load_peppers
from gateway.keys.signature_verifier import SignatureVerifier
from gateway.keys.trusted_copy import TrustedCopy
from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from gateway.limits.shared_store import open_shared_store
from gateway.listeners import make_listener, open_tls, settings_of
from gateway.metrics import Metrics
from gateway.metrics_page import MetricsPage
from gateway.outbound_clients import OutboundClients
from gateway.policy_file.content_terms import ContentTermsBook
from gateway.policy_file.kept_policy import KeptPolicy
from gateway.policy_file.policy_reading import Written, open_policy_file
from gateway.policy_file.policy_watch import PolicyWatch, WatchParts
from gateway.policy_in_force import PolicyInForce
from gateway.readiness import Facts, Lack, lacks
from gateway.recording import LogHeld, open_recording, standing_records
from gateway.request_audit import RequestAudit
from gateway.route_tables import route_tables
from gateway.running import Running
from gateway.running_acts import RunningActs
from gateway.scheduling.open_scheduler import open_scheduler
from gateway.scheduling.shared_queue import SharedQueue
from gateway.setting import Setting, admin_gid
from gateway.stream_watch import StreamWatch
from gateway.tokens.key_set_fetch import open_fetch
from gateway.tokens.token_verifier import TokenVerifier
from gateway.upstreams.ollama import OllamaUpstream
from gateway.worker_deaths import WorkerDeaths
from policies.access import ListenerName
from policies.addresses.networks import Address
from policies.admitting.bands import band_terms
from policies.audit_record import Actor, system_record
from policies.credentials.principal import Principal
from policies.limiting.guessing import Guessing

log = structlog.get_logger("corral.gateway")

CUT_GRACE_S = 3.0
"""What cut streams get to send their last words."""
STANDARD_S = 1.0
"""By then the record of a served request is lasting where `audit.durability` is standard: a slow log is waited for."""


class App:
    """The running parts of one gateway process."""

    def __init__(
        self,
        setting: Setting,
        audit_log: AuditLog,
        keys: KeyStore,
        place: str,
        vault: Vault,
        make_scheduler: MakeScheduler | None = None,
    ) -> None:
        self._setting = setting
        self._clock: Clock = SystemClock()
        shared = setting.config.store
        self._shared = open_shared_store(shared, setting.home, place, self._clock) if shared is not None else None
        self._audit_log = audit_log
        self._keys = keys
        self._vault = vault
        self._draining = False
        self._recorded: dict[str, tuple[bool, int]] = {}
        self.running = Running()
        self.metrics = Metrics()
        self._place = place
        self._process = f"{place}:{secrets.token_hex(4)}"
        self._pool = open_pool(setting.home, self._process)
        self.dispatcher = Dispatcher(
            open_engines(setting.config, setting.home, self._pool),
            self._clock,
            self.metrics.step,
            self._target_changed,
            make_scheduler or open_scheduler(setting.config, setting.home, place, self._clock, self._note_later),
            self._note_later,
        )
        if self._pool is not None:
            self.dispatcher.demand.subscribe(self._pool.want)
        self._certificates = CertificateVerifier(
            lambda: self._tls.trust if self._tls is not None else None,
            setting.in_force.policy.certificates,
            self._clock,
        )
        store = setting.config.store
        self._copy = TrustedCopy(keys, self._clock, setting.config.gateway.stale_keys_s, shared=store is not None)
        self._sharing = open_sharing(store, setting.home, keys, self._copy)
        self._streams = StreamWatch(keys, self.running, self._clock)
        self._held = LogHeld(log=audit_log, place=place, process=self._process, vault=vault)
        self.recording = open_recording(setting, self._held, self._clock, self._note_later)
        self._tokens = self._open_tokens()
        self._peppers = load_peppers(setting.home.pepper)
        self._hour = LiveHour(self.dispatcher.view, self._clock)
        self._console: OpenedConsole | None = None
        self._consents = signers_of(setting.config, setting.home.path)
        self.gate = self._make_gate()
        upstreams = [each for each in self.dispatcher.engines if isinstance(each, OllamaUpstream) and each.counts]
        self._counts = CountRecords(
            audit_log.submit, stamp_now, self.recording.runs, self._process, (self._pool, upstreams)
        )
        self._tls = open_tls(setting, self.gate.audit.noted_later, self._now_s())
        self._deaths = WorkerDeaths(setting.home.run / PROCESSES_FILE, self.gate.audit.noted_later)
        self._deaths.subscribe(self.dispatcher.suspects.confirm)
        self.dispatcher.suspects.count_deaths_by(lambda target: self._deaths.count(target.removeprefix("pool:")))
        self._key_watch = KeyWatch(keys, self._clock, self.gate.audit.noted_later)
        self._key_addresses = KeyAddresses(self._clock, self.gate.audit.noted_later, vault.persons.label)
        self._listeners: dict[ListenerName, Listener] = {}
        self._admin_socket = AdminSocket(setting.home.admin_socket, self._act, admin_gid=admin_gid(setting.config))
        self._policy_watch = self._make_policy_watch()
        self._tasks: list[asyncio.Task[None]] = []
        self._back_door = watch_from(
            setting.home.path,
            setting.config,
            setting.sockets.values(),
            self.gate.audit.noted_later,
            self.dispatcher.hold,
        )
        self._console = self._make_console()

    # ---- life

    async def start(self) -> None:
        """Connect, accept, and say so in the log."""
        in_force = self.gate.in_force
        policy = {"policy_hash": in_force.hash, "policy_author": in_force.author}
        await self._note("gateway.started", {**policy, "process": self._process, **self._consents.told()})
        await self.recording.upkeep.begin(has_signers=bool(self._consents.signers))
        await asyncio.to_thread(ContentTermsBook(self._setting.home.path).keep, in_force.policy)
        self._back_door.hold_unchecked()
        if self._shared is not None:
            await self._shared.start(self.gate.audit.noted_later)
        self.recording.anchors.start()
        await self.dispatcher.start_up()
        self._say_longest_answer()
        self.dispatcher.take_bands(band_terms(in_force.policy))
        self._tokens.start()
        if self._sharing is not None:
            await self._sharing.hear()
            self._go("shared keys", self._sharing.run())
        for name, listening in self._setting.sockets.items():
            serve = self._console.console.handle if name == "console" and self._console is not None else None
            listener = make_listener(name, listening, settings_of(self._setting, name), self.gate, self._tls, serve)
            listener.start()
            self._listeners[name] = listener
        await self._admin_socket.start()
        self._go("housekeeping", self._housekeeping().run())
        self._go("audit keeping", self.recording.keeping.run())
        self._go("audit upkeep", self.recording.upkeep.run())
        self._go("act requests", keep_to_expiry(self._consents.book, self._audit_log.record))
        self._go("audit index", IndexKeeper(self._setting.home).run())
        self._go("policy watch", self._policy_watch.run())
        standing = standing_records(self._setting, self._held, self.gate, self._keys, self.recording.anchors)
        self._go("standing records", standing.run())
        retention = keep_to_retention(self._vault.content, self._clock, self.gate.audit.noted_later)
        self._go("content retention", retention)
        self._go("counts", self._counts.run(self._setting.config.audit.count_every_s))
        if self._console is not None:
            self._go("console sessions", self._console.run())
            self._go("console overview", self._hour.run())
        if self._setting.config.back_door.enabled:
            self._go("back door watch", self._back_door.run())

    def take_policy(self, new: PolicyInForce) -> None:
        """Swap the policy whole: a request that began keeps the one it took, the next one takes `new`."""
        self._tokens.take(new.policy.issuers)  # first: nothing is swapped if this fails
        self.gate.in_force = new
        self.dispatcher.take_bands(band_terms(new.policy))
        self._say_longest_answer()
        self._certificates.identities = new.policy.certificates
        self.gate.identity.guessing.relimit(new.policy.failed_credentials_per_minute)

    def _say_longest_answer(self) -> None:
        """Whoever loads models lets a worker that leaves finish the longest answer that any team may have."""
        if self._pool is not None:
            self._pool.answers_take(self.gate.in_force.policy.longest_answer_s())

    def begin_drain(self) -> None:
        """Readiness falls; requests are still taken."""
        self._draining = True

    async def drain(self, hurry: asyncio.Event) -> None:
        """Accept no more; finish running streams within the drain time or until `hurry`, then cut the rest."""
        await self._note("gateway.draining", {"running": self.running.count()})
        for listener in self._listeners.values():
            listener.stop_accepting()
        drain_s = self._setting.config.gateway.drain_s
        closing = [asyncio.create_task(listener.close(drain_s + CUT_GRACE_S)) for listener in self._listeners.values()]
        await self.running.drained(drain_s, hurry)
        await asyncio.gather(*closing)

    async def close(self) -> None:
        """Let everything go; the last record of this process is that it stopped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sharing is not None:
            await self._sharing.close()
        await self._admin_socket.close()
        if self._console is not None:
            await self._console.close()
        await self._tokens.close()
        await self.gate.audit.close()  # what is open in the last counts is open for good
        await self._counts.last()
        await self.dispatcher.close()
        await self.gate.store.close()
        await self.gate.audit.close()
        await self.recording.keeping.tell_counts()
        await self._note("gateway.stopped", {})

    def ready(self) -> bool:
        """True while new requests are welcome, can be decided, served and recorded: `gateway.readiness` decides."""
        return not self._lacks()

    def _lacks(self) -> tuple[Lack, ...]:
        """What this process needs to be ready and has not."""
        works = {task.get_name(): not task.done() for task in self._tasks} | {"key sets": self._tokens.keeping}
        if self._shared is not None:
            works["shared limits"] = self._shared.keeping
        if isinstance(self.dispatcher.scheduler, SharedQueue):
            works["shared queue"] = self.dispatcher.scheduler.keeping
        return lacks(
            Facts(
                started=bool(self._tasks),
                draining=self._draining,
                recording=self._audit_log.available and not self.recording.anchors.refuses(),
                serving=self.dispatcher.ready(),
                unkept=tuple(name for name, kept in works.items() if not kept),
                keyless=self._tokens.keyless(),
                stale=self._copy.stale(),
                store_away=self._shared.refuses if self._shared is not None else "",
            )
        )

    def _go(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` until the end; should it end before, the gateway is no longer ready."""
        self._tasks.append(asyncio.create_task(work, name=name))

    # ---- parts

    def _make_gate(self) -> Gate:
        setting = self._setting
        dialects: dict[str, Dialect] = {each.name: each for each in (ollama.DIALECT, openai.DIALECT)}
        guessing = Guessing(setting.in_force.policy.failed_credentials_per_minute)
        return Gate(
            clock=self._clock,
            in_force=setting.in_force,
            doors={
                "public": Door(setting.config.public, self._certificate_hosts),
                "admin": Door(setting.config.admin, self._certificate_hosts),
                "console": Door(setting.config.console, self._certificate_hosts),
            },
            routes=route_tables(self.ready, self._metrics_page, self.dispatcher.view, self.recording.counted.told),
            dialects=dialects,
            body_limit_bytes=setting.config.public.max_body_bytes,
            body_timeout_s=setting.config.public.body_timeout_s,
            identity=Identity(self._verifiers(), guessing, self._clock),
            store=self._shared or MemoryStore(self._clock, BudgetBook.open(setting.home.limits)),
            grants=self._keys.grants.of_team,
            catalogue=self.dispatcher.catalogue,
            dispatcher=self.dispatcher,
            runs=self.recording.runs,
            audit=RequestAudit(
                self.recording.counted,
                stamp_now,
                policy_hash=lambda: self.gate.in_force.hash,
                keeper=ContentKeeper(self._vault.content, self._vault.persons),
                sampling=self.recording.sampling,
                may_answer_early=self._may_answer_early,
            ),
            running=self.running,
            accepted=self._accepted,
            finished=self._finished,
            residences=self._residences,
            keep=self._pool.keep if self._pool is not None else lambda _model, _seconds: None,
            keep_alive_most_s=setting.config.engine.keep_alive_most_s,
            log_bug=log_bug,
        )

    def _verifiers(self) -> Verifiers:
        return Verifiers(
            api_keys=ApiKeyVerifier(self._keys, self._peppers, self._clock),
            tokens=self._tokens,
            signatures=SignatureVerifier(self._keys.public_keys, self._clock),
            certificates=self._certificates,
            revocations=self._copy,
            sessions=SessionVerifier(self._console_sessions, self._keys, self._clock),
        )

    def _certificate_hosts(self) -> tuple[str, ...]:
        """The names of the certificate in force; none where no listener speaks TLS."""
        return self._tls.hosts if self._tls is not None else ()

    def _open_tokens(self) -> TokenVerifier:
        """The policy's issuers; after any revocation each token is proven anew."""
        clients = OutboundClients(self._setting.config.egress, self._setting.home.path)
        opener = partial(open_fetch, home=self._setting.home.path, clients=clients)
        tokens = TokenVerifier(self._clock, opener, self._note_later)
        tokens.take(self._setting.in_force.policy.issuers)
        self._keys.revocations.subscribe(tokens.flush)
        return tokens

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            clock=self._clock,
            audit_log=self._audit_log,
            note=self.gate.audit.noted_later,
            tls=self._tls,
            certificates=self._certificates,
            running=self.running,
            copy=self._copy,
            keys=self._keys,
            streams=self._streams,
            key_watch=self._key_watch,
            deaths=self._deaths,
            persons=self._vault.persons,
            lookout=ChainLookout(self._setting.home.audit, self._place, self.gate.audit.noted_later),
        )

    def _now_s(self) -> float:
        return unix_s(self._clock)

    def _may_answer_early(self) -> bool:
        """Where the end of a request may be recorded after its answer, as long as the log keeps up."""
        return self._setting.config.audit.durability == "standard" and self._audit_log.behind_s() < STANDARD_S

    def _make_policy_watch(self) -> PolicyWatch:
        setting = self._setting
        parts = WatchParts(
            clock=self._clock,
            stamp=stamp_now,
            record=self._audit_log.record,
            take=self.take_policy,
            keep=self._keep_policy,
            live_keys=self._key_watch.active_by_team,
            refused=self.metrics.policy_refused,
        )
        file = open_policy_file(setting.policy_file, setting.config, setting.home.path)
        return PolicyWatch(file, setting.in_force, parts)

    def _keep_policy(self, written: Written) -> None:
        """What a gateway after this one goes by: the policy itself, and what it keeps of content."""
        KeptPolicy(self._setting.home.run).keep(written)
        ContentTermsBook(self._setting.home.path).keep(self.gate.in_force.policy)

    # ---- what parts call back

    def _accepted(self, principal: Principal, client: Address) -> None:
        """A key was used: note it, and delete the file that held the first one."""
        self._key_watch.used(principal, client)
        self._key_addresses.seen(principal, client)
        try:
            if forget_first_key(self._setting.home, principal.key_id):
                self.gate.audit.noted_later("first_key.deleted", {"key_id": principal.key_id})
        except OSError as fault:
            log.error("first_key_not_deleted", path=str(self._setting.home.first_key), cause=fault.strerror)

    def _target_changed(self, state: TargetState) -> None:
        known = (state.ready, state.slots)
        if self._recorded.get(state.target) == known:
            return  # only how long it stays away has changed
        self._recorded[state.target] = known
        event = "target.ready" if state.ready else "target.lost"
        details: dict[str, str | int | float | bool] = {"target": state.target, "slots": state.slots}
        self.gate.audit.noted_later(event, details)

    async def _metrics_page(self) -> bytes:
        return await MetricsPage(
            metrics=self.metrics,
            clock=self._clock,
            dispatcher=self.dispatcher,
            running=self.running,
            listeners=self._listeners,
            counters=self._worker_counters,
            residences=self._residences,
            deaths=self._deaths,
            key_watch=self._key_watch,
            tokens=self._tokens,
            audit_log=self._audit_log,
            sampling=self.recording.sampling,
            back_door=self._back_door,
            shared=self._shared,
            tls=self._tls,
        ).page()

    async def _worker_counters(self) -> dict[str, Counters]:
        return await self._pool.counters() if self._pool is not None else {}

    def _finished(self, exchange: Exchange) -> None:
        """A request is over, however it ended."""
        self.metrics.finished(exchange)
        self._hour.finished(exchange)

    async def _act(self, name: str, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        return await self._acts().perform(name, arguments, actor)

    def _make_console(self) -> OpenedConsole | None:
        """The console, where config.yaml opens it."""
        if "console" not in self._setting.sockets:
            return None
        world = World(
            home=self._setting.home,
            gate=self.gate,
            acts=self._acts(),
            audit_log=self._audit_log,
            keys=self._keys,
            policy_watch=self._policy_watch,
            clock=self._clock,
            lacks=self._lacks,
            hour=self._hour,
            endings=Endings(
                keys_ending=self._key_watch.ends,
                files=lambda: self._tls.ends if self._tls is not None else (),
                key_sets=self._tokens.key_set_ages,
            ),
            acts_alone=not self._consents.signers,
            egress=self._setting.config.egress,
        )
        return open_console(self._setting.config, world, self._peppers, self.metrics)

    def _console_sessions(self) -> tuple[Sessions, Judge] | None:
        return (self._console.sessions, self._console.judge) if self._console is not None else None

    def _acts(self) -> RunningActs:
        return RunningActs(
            home=self._setting.home,
            keys=self._keys,
            gate=self.gate,
            audit_log=self._audit_log,
            policy_watch=self._policy_watch,
            back_door=self._back_door,
            lacks=self._lacks,
            store=self._shared.state if self._shared is not None else lambda: None,
            deaths=self._deaths,
            residences=self._residences,
            vault=self._vault,
            anchors=self.recording.anchors.shown,
            console=self._console_shown,
            consents=self._consents,
        )

    async def _console_shown(self) -> dict[str, Any] | None:
        return await self._console.shown(self._now_s()) if self._console is not None else None

    def _residences(self) -> tuple[Residence, ...]:
        return self._pool.residences() if self._pool is not None else ()

    def _note_later(self, event: str, details: dict[str, str | int | float | bool]) -> None:
        """For parts that are made before the gate."""
        self.gate.audit.noted_later(event, details)

    async def _note(self, event: str, details: dict[str, str | int | float | bool]) -> None:
        await self._audit_log.record(system_record(event, stamp_now(), details))


@contextlib.asynccontextmanager
async def opened(setting: Setting, make_scheduler: MakeScheduler | None = None) -> AsyncIterator[App]:
    """The app of `setting`, started; closed when the block ends (`drain` it before).

    `make_scheduler` puts another queue in the place of the usual one, to measure beside it.
    Raises NoPlace, AuditNotOpened, KeysNotOpened, PolicyUnavailable, UnfitPepper, PlanFault or TlsFault, each one
    line.
    """
    with opened_vault(setting.home) as vault:
        async with _opened(setting, vault, make_scheduler) as app:
            yield app


@contextlib.asynccontextmanager
async def _opened(setting: Setting, vault: Vault, make_scheduler: MakeScheduler | None) -> AsyncIterator[App]:
    place, sealer = hold_place(setting.home.audit, this_host()), RecordSealer(vault.persons)
    size = setting.config.audit.segment_bytes
    audit_log = AuditLog.open(place.folder, node=this_host(), segment_bytes=size, sealer=sealer)
    try:
        checkpointer = sign_log(audit_log, place.folder)
        audit_log.watch(DiskGuard(place.folder, RealDisk(), setting.config.audit.reserve_bytes))
        keys = KeyStore.open(setting.home.keys)
        try:
            app = App(setting, audit_log, keys, place.name, vault, make_scheduler)
            checkpointer.subscribe(app.recording.anchors.hear)
            await app.start()
            try:
                yield app
            finally:
                await app.close()
                await audit_log.close()  # makes the last checkpoint
                await app.recording.anchors.close()
        finally:
            keys.close()
    finally:
        await audit_log.close()
        place.close()


def log_bug(exchange: Exchange, bug: Exception) -> None:
    """Log an exception that no step should raise, with the id that its caller was told."""
    log.error("bug", request_id=exchange.id, exc_info=bug)
