"""The gate: everything the request flow needs, composed once by `gateway.app` and handed along."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from msgspec import structs

from engine.errors import ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied
from engine.interface import Prepared
from engine.residency import Residence
from gateway.audit.counts import OpenRuns
from gateway.call_identity import call_identity
from gateway.call_params import call_params
from gateway.catalogue import Catalogue
from gateway.clock import Clock, unix_s
from gateway.dialects.capabilities import check_capabilities
from gateway.dialects.contract import Dialect
from gateway.dispatcher import Admission, Applicant, Dispatcher
from gateway.exchange import Exchange
from gateway.http.door import Door
from gateway.identity import Identity
from gateway.loaded_models import loaded_cards
from gateway.policy_in_force import PolicyInForce
from gateway.request_audit import RequestAudit
from gateway.routes import RouteTable
from gateway.running import Running
from policies.access import ListenerName
from policies.addresses.networks import Address
from policies.admitting.ticket import Bounds
from policies.authorization import Grant, authorize_model
from policies.call import Call, ModelCard
from policies.credentials.principal import Principal
from policies.errors import ModelsNotListed, ModelUnknown
from policies.keep_alive import allowed_keep_alive_s
from policies.limiting.limit_grant import LimitGrant
from policies.limiting.limits import Claims, Reservation, Store, Work, effective_team, longest_answer
from policies.policy import Policy, Team
from policies.queue_wish import QueueWish, queue_terms

OUR_FAULTS = (ModelNotReady, SlotTaken, UpstreamFailed, WorkerDied)
"""Ends that cost the caller only what it was already given."""


@dataclass(slots=True, kw_only=True)
class Gate:
    """The parts, and the few acts of the flow that need several of them."""

    clock: Clock
    in_force: PolicyInForce
    doors: dict[ListenerName, Door]
    routes: dict[ListenerName, RouteTable]
    dialects: dict[str, Dialect]
    body_limit_bytes: int
    body_timeout_s: float
    identity: Identity
    store: Store
    grants: Callable[[str], tuple[LimitGrant, ...]]
    catalogue: Catalogue
    dispatcher: Dispatcher
    audit: RequestAudit
    running: Running
    accepted: Callable[[Principal, Address], None]
    finished: Callable[[Exchange], None]
    log_bug: Callable[[Exchange, Exception], None]
    residences: Callable[[], tuple[Residence, ...]] = tuple
    keep: Callable[[str, float], None] = lambda _model, _seconds: None
    keep_alive_most_s: float = 0.0
    runs: OpenRuns = field(default_factory=OpenRuns)

    def widened(self, team: Team, name: str) -> Team:
        """The team called `name` with the temporary exceptions that hold at this request."""
        return effective_team(team, self.grants(name), unix_s(self.clock))

    def authorize_model(self, grant: Grant, name: str) -> ModelCard:
        """The card of a model that the caller may use. Raises ModelUnknown, and ModelsNotListed in its place while an
        engine has not told what it serves: a gateway that has just started calls nobody's model unknown.
        """
        try:
            return authorize_model(grant, name, self.catalogue.find)
        except ModelUnknown as refused:
            if self.catalogue.is_whole:
                raise
            raise ModelsNotListed(refused.reason) from None

    def authorize_call(self, grant: Grant, call: Call, policy: Policy, exchange: Exchange) -> Call:
        """Step 8 for work: the call as the catalogue and the team's policy allow it.

        The model gets the catalogue's spelling, the output the team's cap (less where a
        limit could never hold it), and cached prefixes stay
        within the team. What an adapter's name was allowed for runs on its base model, which itself need not be
        allowed. Raises ModelUnknown or ModelsNotListed, or BadRequest for what the model cannot do.
        """
        exchange.model = card = self.authorize_model(grant, call.model)
        check_capabilities(call, card)
        exchange.params = call_params(call)
        cap = longest_answer(grant.team, policy, card.name, card.parent)
        return structs.replace(
            call,
            model=card.parent or card.name,
            adapter=card.name if card.parent else "",
            max_output_tokens=min(call.max_output_tokens or cap, cap),
            cache_scope=f"team:{grant.principal.team}",
            tenant=self._tenant(grant, card),
            caller=grant.principal.limit_name,
        )

    def _tenant(self, grant: Grant, card: ModelCard) -> str:
        """Whom a worker process is given to: a team that shares none, or "" for all others. Raises ModelUnknown."""
        if grant.team.isolation == "cache":
            return ""
        if not self.catalogue.engine_of(card.name).isolates:
            raise ModelUnknown("model_not_isolated", model=card.name)
        return f"team:{grant.principal.team}"

    def loaded(self, cards: tuple[ModelCard, ...]) -> tuple[ModelCard, ...]:
        """Of `cards` the models that are in memory now."""
        return loaded_cards(cards, self.residences(), self.clock)

    def hint(self, grant: Grant, model: str, keep_alive_s: float | None) -> None:
        """Pass a caller's `keep_alive` on, as far as the caller may give it."""
        is_admin = "admin" in grant.principal.scopes
        seconds = allowed_keep_alive_s(keep_alive_s, is_admin=is_admin, most_s=self.keep_alive_most_s)
        if seconds is not None:
            self.keep(model, seconds)

    async def prepare(self, call: Call) -> Prepared:
        """Step 9: template, tokens, grammar, by the engine that owns the model."""
        return await self.catalogue.engine_of(call.model).prepare(call)

    @contextlib.asynccontextmanager
    async def reserved(self, claims: Claims, exchange: Exchange) -> AsyncIterator[Reservation]:
        """Step 10: hold the claims for the length of the block, then settle what the exchange says was used."""
        reservation = await self.store.reserve(claims)
        exchange.limits_told(reservation)
        failed = False
        try:
            yield reservation
        except OUR_FAULTS:
            failed = True
            raise
        finally:
            await self.store.settle(reservation, exchange.used(failed=failed))

    def admitted(
        self, prepared: Prepared, grant: Grant, wish: QueueWish, policy: Policy, exchange: Exchange
    ) -> contextlib.AbstractAsyncContextManager[Admission]:
        """Step 11: a place in the queue, on the team's terms and the caller's; `turn` of it waits for the slot.

        Raises Overloaded or NoCapacity when the queue turns the request away at once.
        """
        team, spent_s = grant.team, exchange.elapsed_ns() / 1e9
        terms = queue_terms(wish, team, policy.bands, spent_s)
        exchange.queued_on(terms, spent_s)
        self.runs.begin(exchange)
        applicant = Applicant(
            team=grant.principal.team,
            weight=team.weight,
            band=team.band,
            terms=terms,
            bounds=Bounds(total=policy.max_queued, team=team.max_queued),
            identity=call_identity(grant.principal.limit_name, prepared.call),
        )
        return self.dispatcher.admit(prepared, applicant, exchange)


def work_of(prepared: Prepared) -> Work:
    """What step 10 reserves for; an embedding writes no answer."""
    output_tokens = 0 if prepared.call.kind == "embedding" else prepared.max_output_tokens
    call = prepared.call
    model, parent = (call.adapter, call.model) if call.adapter else (call.model, "")
    return Work(model, prepared.prompt_tokens, output_tokens, parent)
