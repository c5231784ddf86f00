"""The gate: everything the request flow needs, composed once by `gateway.app` and handed along."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from msgspec import structs

from engine.interface import Prepared
from gateway.call_params import call_params
from gateway.catalogue import Catalogue
from gateway.clock import Clock
from gateway.dialects.capabilities import check_capabilities
from gateway.dialects.contract import Dialect
from gateway.dispatcher import Admission, Dispatcher
from gateway.exchange import Exchange
from gateway.identity import Identity
from gateway.incoming import ListenerName
from gateway.policy_in_force import PolicyInForce
from gateway.request_audit import RequestAudit
from gateway.routes import RouteTable
from gateway.running import Running
from policies.admission import Bounds
from policies.authorization import Grant, authorize_model
from policies.call import Call
from policies.limits import ConcurrencyClaim, Reservation, Store
from policies.networks import Address
from policies.principal import Principal


@dataclass(slots=True, kw_only=True)
class Gate:
    """The parts, and the few acts of the flow that need several of them."""

    clock: Clock
    in_force: PolicyInForce
    routes: dict[ListenerName, RouteTable]
    dialects: dict[str, Dialect]
    body_limit_bytes: int
    body_timeout_s: float
    identity: Identity
    store: Store
    catalogue: Catalogue
    dispatcher: Dispatcher
    audit: RequestAudit
    running: Running
    accepted: Callable[[Principal, Address], None]
    finished: Callable[[Exchange], None]
    log_bug: Callable[[Exchange, Exception], None]

    def authorize_call(self, grant: Grant, call: Call, exchange: Exchange) -> Call:
        """Step 8 for work: the call as the catalogue and the team's policy allow it.

        The model gets the catalogue's spelling, the output the team's cap, and cached prefixes stay
        within the team. Raises ModelUnknown, or BadRequest for what the model cannot do.
        """
        exchange.model = card = authorize_model(grant, call.model, self.catalogue.find)
        check_capabilities(call, card)
        exchange.params = call_params(call)
        cap = grant.team.max_output_tokens
        return structs.replace(
            call,
            model=card.name,
            max_output_tokens=min(call.max_output_tokens or cap, cap),
            cache_scope=f"team:{grant.principal.team}",
        )

    async def prepare(self, call: Call) -> Prepared:
        """Step 9: template, tokens, grammar, by the engine that owns the model."""
        return await self.catalogue.engine_of(call.model).prepare(call)

    @contextlib.asynccontextmanager
    async def reserved(self, claims: tuple[ConcurrencyClaim, ...]) -> AsyncIterator[Reservation]:
        """Step 10: hold the claims for the length of the block."""
        reservation = await self.store.reserve(claims)
        try:
            yield reservation
        finally:
            await self.store.settle(reservation)

    def admitted(
        self, prepared: Prepared, grant: Grant, max_queued: int, on_dispatch: Callable[[str], None]
    ) -> contextlib.AbstractAsyncContextManager[Admission]:
        """Step 11: a place in the queue within the policy's bounds, then a slot; `on_dispatch` hears of each."""
        bounds = Bounds(total=max_queued, team=grant.team.max_queued)
        return self.dispatcher.admit(prepared, grant.principal.team, bounds, grant.team.max_wait_s, on_dispatch)
