"""The engines of one gateway: its own pool, where the supervisor planned one, and the upstreams of config.yaml."""

from pathlib import Path

from engine.interface import Engine
from engine.plan_file import read_plan
from engine.pool import Pool
from gateway.configuration.settings import Config, UpstreamSettings
from gateway.homes.home import Home
from gateway.homes.run_folder import LOADER_SOCKET, PLAN_FILE
from gateway.outbound_clients import OutboundClients
from gateway.upstreams.ollama import OllamaUpstream


def open_pool(home: Home, name: str = "") -> Pool | None:
    """The workers that the plan in `home` names, None without a plan. `name` is this process's. Raises PlanFault."""
    plan_file = home.run / PLAN_FILE
    if not plan_file.exists():
        return None
    return Pool(read_plan(plan_file), loader_socket=str(home.run / LOADER_SOCKET), name=name)


def open_engines(config: Config, home: Home, pool: Pool | None) -> tuple[Engine, ...]:
    """All engines, the pool first: a name that both have is the pool's."""
    clients = OutboundClients(config.egress, home.path)
    beyond = [_open_upstream(each, home.path, clients) for each in config.upstreams]
    return (*([pool] if pool is not None else []), *beyond)


def _open_upstream(settings: UpstreamSettings, home: Path, clients: OutboundClients) -> Engine:
    key_file = home / settings.api_key_file if settings.api_key_file else None
    outbound = clients.open(
        settings.url,
        ca_file=settings.ca_file,
        api_key=key_file.read_text(encoding="ascii").strip() if key_file else "",
        connect_timeout_s=settings.connect_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
    )
    return OllamaUpstream(settings, outbound)
