"""Step 8: may this principal do this, with this model? One table, default deny.

Decides from the scope a route asks for (`access` is the table), the team's own networks, the team's model list
and the credential's. The credential's own networks were checked at step 5, the global list at step 2. A model
that does not exist and one outside these lists raise the same error: there is no inventory oracle.
"""

from collections.abc import Callable

from msgspec import Struct

from policies.access import Scope, require_scope
from policies.addresses.networks import Address
from policies.call import ModelCard
from policies.credentials.principal import Principal
from policies.errors import ModelUnknown, NotAuthorized
from policies.policy import Policy, Team, may_use

FindModel = Callable[[str], ModelCard | None]


class Grant(Struct, frozen=True, kw_only=True):
    """Proof that `principal`, of `team`, passed the table; `scope` is what it passed for."""

    principal: Principal
    team: Team
    scope: Scope


def team_of(principal: Principal, policy: Policy) -> Team:
    """The principal's team. Raises NotAuthorized when the policy has no such team."""
    team = policy.teams.get(principal.team)
    if team is None:
        raise NotAuthorized("team_not_in_policy")
    return team


def authorize_scope(principal: Principal, team: Team, scope: Scope, address: Address) -> Grant:
    """The grant for a route's `scope`. Raises NotAuthorized, or AddressNotAllowed."""
    require_scope(principal.kind, principal.scopes, scope)
    team.networks.require(address, "team_network")
    return Grant(principal=principal, team=team, scope=scope)


def authorize_model(grant: Grant, name: str, find: FindModel) -> ModelCard:
    """The catalogue's card for the caller's spelling `name`. Raises ModelUnknown, the same for both causes."""
    card = find(name)
    if card is None:
        raise ModelUnknown("model_not_in_catalogue", model=name)
    if not grant.team.may_use(card.name):
        raise ModelUnknown("model_not_of_team", model=name)
    if not may_use(grant.principal.models, card.name):
        raise ModelUnknown("model_not_of_credential", model=name)
    return card


def visible_models(grant: Grant, cards: tuple[ModelCard, ...]) -> tuple[ModelCard, ...]:
    """The cards that both the team and the credential may use, in the catalogue's order."""
    return tuple(card for card in cards if grant.team.may_use(card.name) and may_use(grant.principal.models, card.name))
