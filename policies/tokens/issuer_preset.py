"""What four identity products send where they depart from RFC 9068's profile of an access token.

All of them write the header type `JWT`, which their ID tokens bear too; so a claim that only their access
tokens have is demanded beside it (`marks`): an ID token is proof for the client that asked for it, never a
credential for an API. Whatever the product, a token with a hash that binds it to a login (`at_hash`,
`c_hash`) is an ID token and refused (`policies.tokens.jwt`).

- entra: `scp` is text with blanks, `roles` and `groups` lists; more than 200 groups become a pointer in
  `_claim_names` (or `hasgroups`). Access tokens name the client in `azp` (v2.0) or `appid` (v1.0),
  and themselves in `uti`.
- keycloak: roles stand in `realm_access.roles` and `resource_access.<client>.roles`, of which only
  the clients named in `audiences` count; `aud` is often a list with `account` in it; `typ` inside is `Bearer`.
- okta: `scp` and `groups` are lists; access tokens have the client in `cid`; the header often bears no type.
- adfs: `scp` text, `appid`, roles in `roles` (an issuance rule), groups in `group`; the discovery document
  names the `iss` of access tokens in a field of its own, `access_token_issuer` ([MS-OIDCE] 2.2.3.2).
"""

from typing import Literal

from msgspec import Struct

PresetName = Literal["none", "entra", "keycloak", "okta", "adfs"]

ACCESS_TYPES = ("at+jwt", "application/at+jwt")
PRODUCT_TYPES = (*ACCESS_TYPES, "jwt")


class Preset(Struct, frozen=True, kw_only=True):
    """What a product sends.

    `marks`: one of these (claim, value) must be in the token, value None for any text. `jti_claims`: where the
    token's own id stands, the first that is there. `issuer_fields`: the discovery document's fields of which
    one must be the configured issuer. `client_roles`: whether `resource_access` holds roles by client.
    """

    typ: tuple[str, ...] = PRODUCT_TYPES
    many_audiences: bool = False
    scopes_claim: str = "scp"
    roles_claims: tuple[str, ...] = ("roles",)
    groups_claim: str = "groups"
    marks: tuple[tuple[str, str | None], ...] = ()
    jti_claims: tuple[str, ...] = ("jti",)
    issuer_fields: tuple[str, ...] = ("issuer",)
    client_roles: bool = False


PRESETS: dict[PresetName, Preset] = {
    "none": Preset(typ=ACCESS_TYPES, scopes_claim="scope"),
    "entra": Preset(marks=(("azp", None), ("appid", None)), jti_claims=("jti", "uti")),
    "keycloak": Preset(
        many_audiences=True,
        scopes_claim="scope",
        roles_claims=("realm_access.roles",),
        marks=(("typ", "Bearer"),),
        client_roles=True,
    ),
    "okta": Preset(typ=(*PRODUCT_TYPES, ""), marks=(("cid", None),)),
    "adfs": Preset(
        groups_claim="group",
        marks=(("appid", None),),
        issuer_fields=("issuer", "access_token_issuer"),
    ),
}
