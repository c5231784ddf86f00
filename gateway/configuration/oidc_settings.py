"""The console's identity provider: `console.oidc` of config.yaml."""

from dataclasses import dataclass
from typing import Any, ClassVar

from policies.console.oidc_id_token import ID_TOKEN_TYPES, Client
from policies.console.oidc_preset import OIDC_PRESETS, OidcPresetName
from policies.tokens.issuer import DISCOVERY_PATH, Issuer, check_hosts
from policies.tokens.issuer_url import read_issuer_url

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """The identity provider that people sign in to the console with (OpenID Connect, code flow with PKCE).

    `issuer` is its address, letter for letter as its discovery document names it; that document lies under it.
    `client_id` is the console's name there. `client_secret_file` is a file with its secret, relative to the home, open
    to its owner alone. The address to register there for the way back is the console's own, as browsers call it, with
    /oidc/callback; for the way back after a sign-out it is the same with /oidc/signed-out. `preset` fills in what a
    product does its own way. `ca_file` is a PEM bundle that replaces the system's for the provider, relative to the
    home. `hosts` are hosts beside the issuer's own that its endpoints and keys may lie on. `scopes` are asked for,
    `openid` among them; null asks the preset. `subject_claim` names the claim that says who it is; null asks the
    preset. `name_claim` names the claim with the name that pages show; null asks the preset. `groups_claim` names the
    claim with the groups that `roles` in policy.yaml name, with a dot for each object deeper; null asks the preset.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    issuer: str
    client_id: str
    client_secret_file: str
    preset: OidcPresetName = "none"
    ca_file: str | None = None
    hosts: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    subject_claim: str | None = None
    name_claim: str | None = None
    groups_claim: str | None = None

    def __post_init__(self) -> None:
        try:
            read_issuer_url(self.issuer.rstrip("/") + DISCOVERY_PATH)
        except ValueError as fault:
            raise ValueError(f"issuer {fault}") from None
        if not self.client_id or not self.client_id.isascii() or not self.client_id.isprintable():
            raise ValueError("client_id must be the console's name at the provider, in printable ASCII")
        if not self.client_secret_file:
            raise ValueError("client_secret_file must name the file with the client's secret")
        check_hosts("hosts", self.hosts)
        if self.scopes is not None and "openid" not in self.scopes:
            raise ValueError("scopes must hold openid, or the provider gives no ID token")
        if any(
            not scope or not scope.isascii() or not scope.isprintable() or " " in scope for scope in self.scopes or ()
        ):
            raise ValueError("scopes must be words of printable ASCII")

    def client(self) -> Client:
        """What an ID token is held against."""
        product = OIDC_PRESETS[self.preset]
        issuer = Issuer(
            issuer=self.issuer,
            audiences=(self.client_id,),
            typ=ID_TOKEN_TYPES,
            discovery=True,
            jwks_hosts=self.hosts,
            ca_file=self.ca_file,
            subject_claim=self.subject_claim or product.subject_claim,
            stale_s=0.0,
            team="console",  # an issuer must give one; nobody asks this one for it
        )
        return Client(
            issuer=issuer,
            client_id=self.client_id,
            name_claim=self.name_claim or product.name_claim,
            groups_claim=self.groups_claim or product.groups_claim,
            scopes=self.scopes or product.scopes,
            product=product,
        )
