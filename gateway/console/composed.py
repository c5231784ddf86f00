"""The console of one gateway process, composed: the one place where its parts are made and joined."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.configuration.settings import Config, StoreSettings
from gateway.console.answering import Answering
from gateway.console.asked import Desk
from gateway.console.assets import load_assets
from gateway.console.flow import Console
from gateway.console.judge import Judge
from gateway.console.oidc.provider_parts import ProviderParts, open_provider
from gateway.console.redis_sessions import RedisSessions
from gateway.console.rendering import Rendering
from gateway.console.session_records import SessionRecords
from gateway.console.session_store import SessionStore
from gateway.console.sessions import Sessions
from gateway.console.sign_in import SignIn
from gateway.console.sqlite_sessions import SqliteSessions
from gateway.console.standing import end_dead_sessions
from gateway.console.table import console_table
from gateway.console.world import World
from gateway.homes.home import Home
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from gateway.metrics import Metrics
from policies.errors import PolicyUnavailable

STORE_TIMEOUT_S = 2.0
STORE_CONNECTIONS = 4
SWEEP_S = 30.0
"""How late a session that nobody uses any more is recorded as closed; it is refused from its last second on."""


@dataclass(frozen=True, slots=True)
class OpenedConsole:
    """A console, and what lives as long as it does."""

    console: Console
    sessions: Sessions
    judge: Judge
    provider: ProviderParts | None = None

    async def run(self) -> None:
        """End dead sessions, until cancelled."""
        await end_dead_sessions(self.console.desk, SWEEP_S)

    async def shown(self, now_s: float) -> dict[str, Any]:
        """For `corral status`: how many sessions are open, and how often a key was used to come in within a day."""
        try:
            found, alarms = await self.sessions.open_now(now_s), await self.sessions.alarms(now_s)
        except PolicyUnavailable as fault:
            return {"reason": fault.reason}
        return {"reason": "", "sessions": len(found), "by_key": len(alarms)}

    async def close(self) -> None:
        """Let the store of the sessions and the way to the identity provider go."""
        await self.sessions.close()
        if self.provider is not None:
            await self.provider.close()


def open_console(config: Config, world: World, peppers: Mapping[int, bytes], metrics: Metrics) -> OpenedConsole:
    """The console of `world`.

    Raises PolicyUnavailable, SharedStoreFault, ClientSecretFault, and ValueError for faulty parts of our own.
    """
    settings, store = config.console, config.store
    provider = open_provider(config, world.home.path, world.clock)
    world, gate = replace(world, oidc=provider), world.gate
    sessions = Sessions(open_session_store(store, world.home), peppers, secrets.token_bytes)
    judge = Judge(gate, world.keys, world.clock, settings.oidc.issuer if settings.oidc is not None else "")
    sign_in = SignIn(
        sessions=sessions,
        records=SessionRecords(gate.audit, metrics, world.clock),
        require=lambda proof, arrival: judge.require(proof, arrival.client, arrival.certificate),
    )
    desk = Desk(
        gate=gate,
        table=console_table(world, sign_in),
        sign_in=sign_in,
        judge=judge,
        form_bytes=settings.max_body_bytes,
        form_timeout_s=settings.body_timeout_s,
    )
    assets = load_assets()
    return OpenedConsole(Console(desk, Answering(desk, Rendering(assets), assets)), sessions, judge, provider)


def open_session_store(store: StoreSettings | None, home: Home) -> SessionStore:
    """A file of the home, or the Redis that several gateways share. Raises PolicyUnavailable, SharedStoreFault."""
    if store is None:
        return SqliteSessions(home.run / "sessions.db")
    link = RedisLink(connections_to(store, home.path), timeout_s=STORE_TIMEOUT_S, max_connections=STORE_CONNECTIONS)
    return RedisSessions(link)
