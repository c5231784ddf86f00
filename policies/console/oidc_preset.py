"""What five identity products put into an ID token where they differ: who it is, under which name, in which groups.

Roles follow from subject and groups (`policies.console.roles`), never from a name or an e-mail address: those a person
may change at many providers, and nobody guarantees that they are unique ("nOAuth").

- keycloak:  `groups` needs a mapper of type Group Membership; with its full path each begins with `/`. The token says
             in `typ` that it is an ID token; access tokens, which may bear the nonce too, say `Bearer`.
- entra:     `sub` differs from client to client, so the person is `oid` (unique in the tenant, whose own address
             the issuer is). `groups` are object ids; more than 200 become a pointer, which is refused: give the
             application app roles and set `groups_claim: roles`, or only the groups assigned to it.
- adfs:      `upn` is the name, groups stand in `group` by an issuance rule; `allatclaims` puts the rules' claims into
             the ID token.
- okta:      `groups` comes with the scope `groups`, by the filter that the application's sign-on settings hold.
- authentik: `groups` are names, with the scope `profile`; the issuer ends in `/`. It signs with RS256 only once a
             signing key was chosen for the provider, else with the client's secret, which is refused.
"""

from typing import Literal

from msgspec import Struct

OidcPresetName = Literal["none", "entra", "keycloak", "okta", "adfs", "authentik"]


class OidcPreset(Struct, frozen=True, kw_only=True):
    """What a product sends. `marks` are claims that its ID tokens hold, each with the value it must have."""

    subject_claim: str = "sub"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    scopes: tuple[str, ...] = ("openid", "profile")
    marks: tuple[tuple[str, str], ...] = ()


OIDC_PRESETS: dict[OidcPresetName, OidcPreset] = {
    "none": OidcPreset(),
    "entra": OidcPreset(subject_claim="oid"),
    "keycloak": OidcPreset(marks=(("typ", "ID"),)),
    "okta": OidcPreset(scopes=("openid", "profile", "groups")),
    "adfs": OidcPreset(name_claim="upn", groups_claim="group", scopes=("openid", "profile", "allatclaims")),
    "authentik": OidcPreset(),
}
