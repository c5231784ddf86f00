"""One gateway process, composed: the one place where parts are made and joined.

Order at the start: what may refuse comes first (files, keys, log), then the engines connect, then the
listeners accept. Order at the end: readiness falls, nothing new is accepted, streams finish or are
cut, records are written, and only then the log closes.
"""

import asyncio
import contextlib
import grp
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from engine.interface import Engine, TargetState
from engine.plan_file import read_plan
from engine.pool import Pool
from gateway.admin.act import Act, ActContext, Outcome, perform_one_of
from gateway.admin.admin_acts import ACTS
from gateway.admin.admin_socket import AdminSocket
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.audit_place import hold_place, this_host
from gateway.catalogue import Catalogue
from gateway.clock import Clock, SystemClock
from gateway.configuration.settings import Config, ListenSettings, UpstreamSettings
from gateway.dialects import ollama, openai
from gateway.dialects.contract import Dialect
from gateway.dispatcher import Dispatcher
from gateway.exchange import Exchange
from gateway.gate import Gate
from gateway.homes.home import Home
from gateway.homes.run_folder import PLAN_FILE
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.http.tls_context import server_context
from gateway.identity import Identity
from gateway.incoming import Incoming, ListenerName, Reply
from gateway.keys.first_key import forget_first_key
from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from gateway.keys.pepper import load_peppers
from gateway.memory_store import MemoryStore
from gateway.metrics import Metrics
from gateway.outbound import Outbound
from gateway.own_routes import health_routes, metrics_route
from gateway.policy_in_force import PolicyInForce
from gateway.request import handle
from gateway.request_audit import RequestAudit
from gateway.routes import RouteTable
from gateway.running import Running
from gateway.upstreams.ollama import OllamaUpstream
from policies.audit_record import Actor, Source, system_record
from policies.errors import PolicyUnavailable
from policies.guessing import Guessing
from policies.networks import Address
from policies.principal import Principal

log = structlog.get_logger("corral.gateway")

KEY_STORE_REFRESH_S = 1.0
"""How late a key revoked by another process of this host may still be used."""
GUESSING_WINDOW_S = 60.0
CUT_GRACE_S = 3.0
"""What cut streams get to send their last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a gateway process is given: its home, both files, and the sockets it inherited."""

    home: Home
    config: Config
    in_force: PolicyInForce
    sockets: dict[ListenerName, socket.socket]


class UnknownGroup(Exception):
    """config.yaml names a group that this machine does not have."""


class App:
    """The running parts of one gateway process."""

    def __init__(self, setting: Setting, audit_log: AuditLog, keys: KeyStore) -> None:
        self._setting = setting
        self._clock: Clock = SystemClock()
        self._audit_log = audit_log
        self._keys = keys
        self._draining = False
        self.running = Running()
        self.metrics = Metrics()
        self._pool = _open_pool(setting.home)
        self.dispatcher = Dispatcher(
            _engines(setting, self._pool), self._clock, self.metrics.step, self._target_changed
        )
        self.gate = self._make_gate()
        self._key_watch = KeyWatch(keys, self._clock, self.gate.audit.noted_later)
        self._listeners: dict[ListenerName, Listener] = {}
        self._admin_socket = AdminSocket(setting.home.admin_socket, self._act, admin_gid=_gid(setting.config))
        self._housekeeping: asyncio.Task[None] | None = None
        keys.subscribe(self.running.revoked)

    # ---- life

    async def start(self) -> None:
        """Connect, accept, and say so in the log."""
        await self._note("gateway.started", {"policy_hash": self.gate.in_force.hash})
        await self.dispatcher.start_up()
        for name, listening in self._setting.sockets.items():
            listener = self._make_listener(name, listening)
            listener.start()
            self._listeners[name] = listener
        await self._admin_socket.start()
        self._housekeeping = asyncio.create_task(self._keep_house())

    def take_policy(self, new: PolicyInForce) -> None:
        """Swap the policy whole: a request that began keeps the one it took, the next one takes `new`."""
        self.gate.in_force = new
        self.gate.identity.guessing.relimit(new.policy.failed_credentials_per_minute)

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
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        await self._admin_socket.close()
        await self.dispatcher.close()
        await self.gate.audit.close()
        await self._note("gateway.stopped", {})

    def ready(self) -> bool:
        """True while new requests are welcome, can be served, and can be recorded."""
        keeping = self._housekeeping is not None and not self._housekeeping.done()
        return keeping and not self._draining and self._audit_log.available and self.dispatcher.ready()

    # ---- parts

    def _make_gate(self) -> Gate:
        setting = self._setting
        dialects: dict[str, Dialect] = {each.name: each for each in (ollama.DIALECT, openai.DIALECT)}
        guessing = Guessing(setting.in_force.policy.failed_credentials_per_minute, GUESSING_WINDOW_S)
        return Gate(
            clock=self._clock,
            in_force=setting.in_force,
            routes=self._routes(),
            dialects=dialects,
            body_limit_bytes=setting.config.public.max_body_bytes,
            body_timeout_s=setting.config.public.body_timeout_s,
            identity=Identity(self._keys, load_peppers(setting.home.pepper), guessing, self._clock),
            store=MemoryStore(),
            catalogue=Catalogue(self.dispatcher.engines),
            dispatcher=self.dispatcher,
            audit=RequestAudit(self._audit_log, stamp_now, policy_hash=lambda: self.gate.in_force.hash),
            running=self.running,
            accepted=self._accepted,
            finished=self.metrics.finished,
            log_bug=log_bug,
        )

    def _routes(self) -> dict[ListenerName, RouteTable]:
        health = health_routes(self.ready)
        return {
            "public": RouteTable((*ollama.ROUTES, *openai.ROUTES, *health)),
            "admin": RouteTable((*ollama.ROUTES, *health, metrics_route(self._metrics_page))),
        }

    def _make_listener(self, name: ListenerName, listening: socket.socket) -> Listener:
        settings: ListenSettings = getattr(self._setting.config, name)

        async def serve(incoming: Incoming, reply: Reply) -> None:
            await handle(self.gate, incoming, reply)

        def on_framing_error(peer: str, reason: str, request_id: str) -> None:
            self.gate.audit.rejected_later(Source(peer=peer, listener=name), reason, request_id)

        context = None if settings.unsafe_no_tls else self._tls_context()
        return Listener(
            listening,
            settings,
            tls=lambda: context,
            peer_allowed=self._peer_allowed,
            connections=HttpServer(serve, settings, name, on_framing_error),
        )

    def _peer_allowed(self, peer: Address) -> bool:
        """Before the handshake: behind proxies the peer is not the client, so the flow decides alone."""
        policy = self.gate.in_force.policy
        return bool(policy.proxies) or policy.networks.allows(peer)

    def _tls_context(self) -> ssl.SSLContext:
        home, tls = self._setting.home.path, self._setting.config.tls
        return server_context(home / tls.certificate, home / tls.key, now=datetime.now(UTC))

    # ---- what parts call back

    def _accepted(self, principal: Principal, client: Address) -> None:
        """A key was used: note it, and delete the file that held the first one."""
        self._key_watch.used(principal, client)
        try:
            if forget_first_key(self._setting.home, principal.key_id):
                self.gate.audit.noted_later("first_key.deleted", {"key_id": principal.key_id})
        except OSError as fault:
            log.error("first_key_not_deleted", path=str(self._setting.home.first_key), cause=fault.strerror)

    def _target_changed(self, state: TargetState) -> None:
        event = "target.ready" if state.ready else "target.lost"
        details: dict[str, str | int | float | bool] = {"target": state.target, "slots": state.slots}
        self.gate.audit.noted_later(event, details)

    async def _metrics_page(self) -> bytes:
        counters = await self._pool.counters() if self._pool is not None else {}
        for name, listener in self._listeners.items():
            self.metrics.door(name, listener.open_connections, listener.counts)
        self.metrics.key_ends(self._key_watch.ends())
        return self.metrics.page(self.dispatcher, counters)

    async def _act(self, name: str, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        context = ActContext(
            keys=self._keys,
            policy=self.gate.in_force.policy,
            peppers=load_peppers(self._setting.home.pepper),
            random_bytes=secrets.token_bytes,
            stamp=stamp_now(),
            actor=actor,
            record=self._audit_log.record,
            policy_hash=self.gate.in_force.hash,
        )
        return await perform_one_of({**ACTS, "status": Act(self._status)}, name, arguments, context)

    def _status(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        targets = [
            {"target": each.id, "slots": each.slots, "running": each.running, "ready": each.ready}
            for each in self.dispatcher.targets()
        ]
        models = [card.name for card in self.gate.catalogue.cards()]
        waiting, running = self.dispatcher.waiting(), self.running.count()
        return Outcome(
            result={
                "ready": self.ready(),
                "models": models,
                "targets": targets,
                "waiting": waiting,
                "running": running,
                "audit": self._audit_log.available,
            }
        )

    async def _keep_house(self) -> None:
        """Hear of keys that other processes changed, write down uses, warn of ends, see whether the log is back."""
        while True:
            await asyncio.sleep(KEY_STORE_REFRESH_S)
            self._audit_log.try_again()
            try:
                self._keys.refresh()
                self._keys.flush()
            except PolicyUnavailable as fault:
                log.error("key_store_fault", reason=fault.reason)
            if self._audit_log.available:  # a warning is given once, so not while it would be lost
                self._key_watch.look_at_ends()

    async def _note(self, event: str, details: dict[str, str | int | float | bool]) -> None:
        await self._audit_log.record(system_record(event, stamp_now(), details))


@contextlib.asynccontextmanager
async def opened(setting: Setting) -> AsyncIterator[App]:
    """The app of `setting`, started; closed when the block ends (`drain` it before).

    Raises NoPlace, AuditNotOpened, PolicyUnavailable, UnfitPepper, PlanFault or TlsFault, each one line.
    """
    place = hold_place(setting.home.audit, this_host())
    audit_log = AuditLog.open(place.folder, node=this_host(), segment_bytes=setting.config.audit.segment_bytes)
    try:
        keys = KeyStore.open(setting.home.keys)
        try:
            app = App(setting, audit_log, keys)
            await app.start()
            try:
                yield app
            finally:
                await app.close()
        finally:
            keys.close()
    finally:
        await audit_log.close()
        place.close()


def _gid(config: Config) -> int | None:
    """The admin group's id. Raises UnknownGroup."""
    name = config.gateway.admin_group
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UnknownGroup(f"gateway.admin_group: no group is called {name!r}: make it, or name another") from None


def _open_pool(home: Home) -> Pool | None:
    plan_file = home.run / PLAN_FILE
    return Pool(read_plan(plan_file)) if plan_file.exists() else None


def _engines(setting: Setting, pool: Pool | None) -> tuple[Engine, ...]:
    upstreams = [_open_upstream(each, setting.home.path) for each in setting.config.upstreams]
    return (*([pool] if pool is not None else []), *upstreams)


def _open_upstream(settings: UpstreamSettings, home: Path) -> Engine:
    key_file = home / settings.api_key_file if settings.api_key_file else None
    outbound = Outbound(
        settings.url,
        ca_file=home / settings.ca_file if settings.ca_file else None,
        api_key=key_file.read_text(encoding="ascii").strip() if key_file else "",
        connect_timeout_s=settings.connect_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
    )
    return OllamaUpstream(settings, outbound)


def log_bug(exchange: Exchange, bug: Exception) -> None:
    """Log an exception that no step should raise, with the id that its caller was told."""
    log.error("bug", request_id=exchange.id, exc_info=bug)
