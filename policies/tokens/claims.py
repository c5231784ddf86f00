"""What is a proven token worth here? From its scopes, roles and groups to a team, models and Corral's scopes.

Rules:
- `required_scopes` must all be there                                                       jwt_scope_missing
- Every value that a table of the issuer names counts; the others mean nothing here.
- The team is the one that these name; without one, the `team_claim`; without it, the issuer's `team`.
  None: jwt_without_team. Two different ones: jwt_two_teams, since an order of groups is no decision.
- Models: the union of what these name; null where none names any (the team's own list stands).
- Scopes: the union of what these give; `base_scopes` where none gives any. Never two that may not meet in
  one hand, such as admin and auditor (`policies.access`).
- Groups that the token only points to (Entra's overage, OpenID Connect Core 5.6.2) cannot be judged, so they
  are refused where groups decide anything                                                  jwt_group_overage
- A claim of a form that cannot be read is refused, never passed over                        jwt_claims_form

The caller is proven by now, so these are NotAuthorized (403 insufficient_scope) but for the last. Whether the
team exists in the policy is `policies.authorization`'s question, asked of every kind of credential.
"""

from collections.abc import Iterable, Set
from typing import Any

from policies.access import require_separation
from policies.credentials.principal import Principal
from policies.errors import NotAuthenticated, NotAuthorized
from policies.tokens.issuer import Entitlement, Issuer
from policies.tokens.jwt import VerifiedJwt


def principal_of(verified: VerifiedJwt, issuer: Issuer) -> Principal:
    """Step 10: the principal that the token makes. Raises NotAuthorized, or NotAuthenticated."""
    claims = verified.claims
    token_scopes = _scopes(_at(claims, issuer.scopes_claim or issuer.product.scopes_claim))
    if not set(issuer.required_scopes) <= token_scopes:
        raise NotAuthorized("jwt_scope_missing")
    worth = [
        *_worth(token_scopes, issuer.scopes),
        *_worth(_roles(claims, issuer), issuer.roles),
        *_worth(_groups(claims, issuer), issuer.groups),
    ]
    return Principal(
        kind="jwt",
        team=_team(worth, claims, issuer),
        scopes=_corral_scopes(worth, issuer),
        networks=issuer.networks,
        subject=verified.subject,
        issuer=issuer.issuer,
        jti=verified.jti,
        issued_s=verified.issued_s,
        expires_s=verified.expires_s,
        models=_models(worth),
        client_id=_client_id(claims),
    )


def _client_id(claims: dict[str, Any]) -> str:
    """The program (RFC 9068 section 2.2; `azp` in tokens of OpenID Connect). For the log: it decides nothing."""
    named = claims.get("client_id") or claims.get("azp")
    return named if isinstance(named, str) else ""


def _worth(values: Set[str], table: dict[str, Entitlement]) -> list[Entitlement]:
    return [entitlement for value, entitlement in table.items() if value in values]


def _team(worth: Iterable[Entitlement], claims: dict[str, Any], issuer: Issuer) -> str:
    named = {each.team for each in worth if each.team is not None}
    if len(named) > 1:
        raise NotAuthorized("jwt_two_teams")
    team = named.pop() if named else _claimed_team(claims, issuer) or issuer.team
    if team is None:
        raise NotAuthorized("jwt_without_team")
    return team


def _claimed_team(claims: dict[str, Any], issuer: Issuer) -> str | None:
    team = _at(claims, issuer.team_claim) if issuer.team_claim is not None else None
    if team is None or (isinstance(team, str) and team):
        return team
    raise _unreadable()


def _models(worth: Iterable[Entitlement]) -> tuple[str, ...] | None:
    lists = [each.models for each in worth if each.models is not None]
    return tuple(sorted({model for models in lists for model in models})) if lists else None


def _corral_scopes(worth: Iterable[Entitlement], issuer: Issuer) -> frozenset[str]:
    given = frozenset(scope for each in worth for scope in each.scopes)
    scopes = given or frozenset(issuer.base_scopes)
    require_separation(scopes)
    return scopes


def _roles(claims: dict[str, Any], issuer: Issuer) -> frozenset[str]:
    paths = issuer.product.roles_claims if issuer.roles_claims is None else issuer.roles_claims
    found = frozenset(role for path in paths for role in _values(_at(claims, path)))
    return found | _client_roles(claims, issuer) if issuer.product.client_roles else found


def _client_roles(claims: dict[str, Any], issuer: Issuer) -> frozenset[str]:
    """Keycloak's roles by client, of the clients that are ours: another client's `admin` is not our admin."""
    clients = _object(claims.get("resource_access"))
    ours = [_object(clients.get(audience)) for audience in issuer.audiences]
    return frozenset(role for client in ours for role in _values(client.get("roles")))


def _groups(claims: dict[str, Any], issuer: Issuer) -> frozenset[str]:
    if not issuer.groups:
        return frozenset()
    return groups_in(claims, issuer.groups_claim or issuer.product.groups_claim)


def groups_in(claims: dict[str, Any], claim: str) -> frozenset[str]:
    """The groups under `claim`, whose dots lead to objects deeper.

    Raises NotAuthorized for groups that are only pointed to, NotAuthenticated for what cannot be read.
    """
    if claim in _object(claims.get("_claim_names")) or "hasgroups" in claims:
        raise NotAuthorized("jwt_group_overage")
    return _values(_at(claims, claim))


def _scopes(value: Any) -> frozenset[str]:
    """Scopes as RFC 6749 writes them, with blanks between, or as a list."""
    return frozenset(value.split(" ")) - {""} if isinstance(value, str) else _values(value)


def _values(value: Any) -> frozenset[str]:
    """One text, or a list of them; AD FS sends a single group as a text, blanks included."""
    texts = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise _unreadable()
    return frozenset(texts)


def _at(claims: dict[str, Any], path: str) -> Any:
    """The claim called `path`, or else the one that its dots lead to; a name that is an address has none."""
    if path in claims or "://" in path:
        return claims.get(path)
    *outer, last = path.split(".")
    for step in outer:
        claims = _object(claims.get(step))
    return claims.get(last)


def _object(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _unreadable()
    return value


def _unreadable() -> NotAuthenticated:
    return NotAuthenticated("jwt_claims_form", presented=True)
