"""From two checked files to a supervisor that can run: models verified, plan written, sockets bound."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec import Struct

from engine.adapter_plan import with_adapters
from engine.fitting.machine import MIB
from engine.plan import Plan, make_plan
from engine.plan_file import write_plan
from engine.projector_plan import with_projectors
from engine.settings import EngineSettings
from engine.store.model_store import ModelStore
from engine.store.model_store import StoredModel as InStore
from gateway.configuration.settings import Config
from gateway.homes.run_folder import LOADER_SOCKET, PLAN_FILE, PROCESSES_FILE, VERIFIED_FILE
from gateway.machine.machine_reading import read_machine
from gateway.supervision.child_commands import engine_command, gateway_command, with_tls_groups
from gateway.supervision.child_process import Command
from gateway.supervision.engine_keeper import EngineKeeper
from gateway.supervision.gateway_group import GatewayGroup
from gateway.supervision.gateway_keeper import GatewayKeeper
from gateway.supervision.listening import listen_tcp, listen_unix
from gateway.supervision.loader import Loader
from gateway.supervision.oversight import STOPPED_PREPARER_S, Oversight
from gateway.supervision.process_ledger import ProcessLedger
from gateway.supervision.process_line import ProcessLine
from gateway.supervision.replacement import may_replace
from gateway.supervision.site import Site
from gateway.supervision.stored_models import served_models
from gateway.supervision.supervisor import Supervisor
from gateway.supervision.verified_models import verify_once

log = structlog.get_logger("corral.supervisor")

KILL_MARGIN_S = 5.0  # what a gateway may need beyond its drain time, for the last records of its log


class Listeners(Struct, frozen=True, kw_only=True):
    """The TCP listeners; `console` is None where it is not enabled."""

    public: socket.socket
    admin: socket.socket
    console: socket.socket | None = None

    def close(self) -> None:
        """Close them all."""
        for each in (self.public, self.admin, self.console):
            if each is not None:
                each.close()


def bind_listeners(config: Config) -> Listeners:
    """All listeners. Raises ListenFault."""
    with contextlib.ExitStack() as bound:
        public = bound.enter_context(listen_tcp(config.public, "public"))
        admin = bound.enter_context(listen_tcp(config.admin, "admin"))
        console = bound.enter_context(listen_tcp(config.console, "console")) if config.console.enabled else None
        bound.pop_all()
    return Listeners(public=public, admin=admin, console=console)


def plan_site(site: Site) -> Plan:
    """Verify the models, decide what runs, and write the plan down. Raises PlanFault, StoreFault, OSError."""
    store = ModelStore(site.home.models)
    entries = _servable(store, site.config.engine)
    served = served_models(store, entries, site.config.engine)
    plan = make_plan(served.settings, served.models, machine=read_machine(), run_folder=site.home.run)
    plan = with_projectors(with_adapters(plan, served.adapters), served.projectors)

    def verify(name: str) -> None:
        log.info("verifying_model", model=name)
        store.verify(name)

    verify_once((*served.models, *served.adapters, *served.projectors), site.home.run / VERIFIED_FILE, verify)
    write_plan(site.home.run / PLAN_FILE, plan)
    _log_plan(plan)
    if not plan.processes and not site.config.upstreams:
        log.warning("no_model", remedy="import one with 'corral models import', then start again")
    return plan


async def supervise(site: Site, plan: Plan, listeners: Listeners, on_ready: Callable[[], None]) -> int:
    """Run everything until told to stop; the exit status of `corral serve`. Raises ListenFault."""
    sockets = [listen_unix(Path(process.socket)) for process in plan.processes]
    loader_socket = listen_unix(site.home.run / LOADER_SOCKET)
    rules = site.config.engine
    ledger = ProcessLedger(site.home.run / PROCESSES_FILE)
    lines = {process.name: ProcessLine(process) for process in plan.processes}
    loader = Loader(plan, loader_socket, keep_alive_s=rules.keep_alive_s, patience_s=rules.swap_patience_s, lines=lines)
    engines = [
        EngineKeeper(
            engine_command(process, bound.fileno()),
            Path(process.model_file),
            upkeep=None if process.role == "preparer" else loader.upkeep(process.name),
            oversight=Oversight(
                process,
                stuck_after_s=STOPPED_PREPARER_S if process.role == "preparer" else rules.stuck_after_s,
                ledger=ledger,
                line=lines[process.name],
            ),
        )
        for process, bound in zip(plan.processes, sockets, strict=True)
    ]
    times = site.config.gateway

    def make_command(ready_fd: int) -> Command:
        command = gateway_command(
            home=site.home.path,
            config=site.config_file,
            policy=site.policy_file,
            public_fd=listeners.public.fileno(),
            admin_fd=listeners.admin.fileno(),
            ready_fd=ready_fd,
            console_fd=listeners.console.fileno() if listeners.console is not None else None,
        )
        return command if site.config.tls.host_openssl_config else with_tls_groups(command)

    drain_s = times.drain_notice_s + times.drain_s + KILL_MARGIN_S

    def make_keeper(on_ready: Callable[[], None]) -> GatewayKeeper:
        return GatewayKeeper(make_command, drain_s=drain_s, on_ready=on_ready)

    gateways = GatewayGroup(times.processes, make_keeper, on_ready)
    try:
        return await Supervisor(engines, gateways, lambda: may_replace(site), loader.run).run()
    finally:
        for bound in (*sockets, loader_socket):
            bound.close()
        listeners.close()


def _log_plan(plan: Plan) -> None:
    """What each chat worker got, since the plan follows the memory that was free now."""
    for process in plan.processes:
        if process.role == "chat":
            log.info(
                "worker_planned",
                process=process.name,
                model=process.model,
                slots=process.slots,
                context_tokens=process.context_tokens,
                kv_type=process.kv_type,
                threads=process.threads,
                needs_mib=process.needs_bytes // MIB,
                budget_mib=plan.memory_budget_bytes // MIB,
            )


def _servable(store: ModelStore, settings: EngineSettings) -> tuple[InStore, ...]:
    """What the store holds. A damaged entry is a fault only where every model shall be served."""
    models, faults = store.scan()
    for fault in faults:
        if settings.models is None:
            raise fault
        log.warning("model_left_out", cause=str(fault))
    return models
