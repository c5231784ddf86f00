"""Whose tokens are believed, and what they are worth: one entry of `issuers:` in `policy.yaml`.

Safe without a word from the operator: asymmetric algorithms only (no HS* value can be written here, so no
public key can ever be taken for a secret), access tokens only (`typ`), one audience, a day of life, keys
over https, and nobody gets a team unless a table or `team` says so. A `preset` fills in what a product
sends where it departs from that; see `policies.tokens.issuer_preset`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from policies.addresses.host_names import is_host
from policies.addresses.networks import Networks
from policies.credentials.key_record import check_scopes
from policies.tokens.issuer_preset import PRESETS, Preset, PresetName
from policies.tokens.issuer_url import IssuerUrl, read_issuer_url

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
MAX_LEEWAY_S = 30.0
MAX_LIFETIME_S = 31 * 86_400.0
MAX_STALE_S = 7 * 86_400.0
MIN_RSA_BITS = 2048
DISCOVERY_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What one scope, role or group of a token is worth here.

    `team` is the team it puts its bearer into; null says nothing about the team. `models` narrows the team's
    list to these names; null leaves it. `scopes` are Corral's scopes it gives.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    team: str | None = None
    models: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ("inference", "models")

    def __post_init__(self) -> None:
        if self.scopes:
            check_scopes(frozenset(self.scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An identity provider whose access tokens are taken.

    `issuer` is the exact `iss` of its tokens, letter for letter. `audiences` are Corral's own names there: a
    token must be meant for one of them. `preset` fills in what a product sends where it departs from RFC 9068.
    `algorithms` are those that may sign. `typ` lists the header types taken, "" for none; null takes `at+jwt`
    and what the preset sends. `many_audiences` takes tokens that are meant for others too (each of which could
    replay them here); null asks the preset.

    Keys come from exactly one of three places. `jwks_url` is the key set's own address, https. `discovery`
    asks the provider's discovery document for it. `discovery_url` is where that document lies; null takes the
    usual place under the issuer's address. `jwks_hosts` are hosts beside the document's own that its `jwks_uri`
    may lie on. `jwks_file` is a key set in a file, relative to the home, for a site without a way out; it is read
    again when it changes. `ca_file` is a PEM bundle that replaces the system's for these addresses, relative to
    the home. `required` keeps readiness down until there are keys. `stale_s` is how long the last keys are
    used beyond a quarter of an hour while the provider is away; 0 is strict. `min_rsa_bits` bounds RSA keys from
    below.

    `max_lifetime_s` bounds the time from `iat` to `exp`. `leeway_s` forgives clocks that differ.
    `require_binding` takes only tokens that are bound to the client's certificate (RFC 8705).

    `subject_claim` names the claim that says who it is. `scopes_claim` names the claim with the scopes, with a dot
    for each object deeper; null asks the preset. `roles_claims` name the claims with roles, likewise; null asks
    the preset. `groups_claim` names the claim with the groups, likewise; null asks the preset. `required_scopes`
    must all be in the token. `team_claim` names a claim that holds the team's own name. `team` is for bearers
    whom no table gives a team; null turns them away. `base_scopes` are Corral's scopes for those whom no table
    gives any. `scopes` map a scope in the token to what it is worth here. `roles` map a role in the token to
    what it is worth here. `groups` map a group in the token to what it is worth here. `networks` are where its
    bearers may come from.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    issuer: str
    audiences: tuple[str, ...]
    preset: PresetName = "none"
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    typ: tuple[str, ...] | None = None
    many_audiences: bool | None = None
    jwks_url: str | None = None
    discovery: bool = False
    discovery_url: str | None = None
    jwks_hosts: tuple[str, ...] = ()
    jwks_file: str | None = None
    ca_file: str | None = None
    required: bool = True
    stale_s: float = 86_400.0
    min_rsa_bits: int = MIN_RSA_BITS
    max_lifetime_s: float = 86_400.0
    leeway_s: float = MAX_LEEWAY_S
    require_binding: bool = False
    subject_claim: str = "sub"
    scopes_claim: str | None = None
    roles_claims: tuple[str, ...] | None = None
    groups_claim: str | None = None
    required_scopes: tuple[str, ...] = ()
    team_claim: str | None = None
    team: str | None = None
    base_scopes: tuple[str, ...] = ("inference", "models")
    scopes: dict[str, Entitlement] = field(default_factory=dict)
    roles: dict[str, Entitlement] = field(default_factory=dict)
    groups: dict[str, Entitlement] = field(default_factory=dict)
    networks: Networks = field(default_factory=Networks)

    def __post_init__(self) -> None:
        self._check_identity()
        self._check_keys()
        _within("max_lifetime_s", self.max_lifetime_s, 1.0, MAX_LIFETIME_S)
        _within("leeway_s", self.leeway_s, 0.0, MAX_LEEWAY_S)
        _within("stale_s", self.stale_s, 0.0, MAX_STALE_S)
        if not self._gives_teams():
            raise ValueError("gives nobody a team: set team, team_claim, or a team under scopes, roles or groups")
        if self.base_scopes:
            check_scopes(frozenset(self.base_scopes))

    def document_url(self) -> IssuerUrl | None:
        """Where the discovery document lies; None without discovery. Raises ValueError for what is no address."""
        if not self.discovery:
            return None
        return read_issuer_url(self.discovery_url or self.issuer.rstrip("/") + DISCOVERY_PATH)

    @property
    def key_source(self) -> tuple[object, ...]:
        """What decides where its keys come from: while this stays, a new policy keeps the keys at hand."""
        place = (self.jwks_url, self.discovery, self.discovery_url, self.jwks_hosts, self.jwks_file, self.ca_file)
        return (*place, self.issuer, self.preset, self.stale_s)

    @property
    def product(self) -> Preset:
        """What the preset says."""
        return PRESETS[self.preset]

    @property
    def taken_typ(self) -> tuple[str, ...]:
        """The header types taken, in lower case."""
        return self.product.typ if self.typ is None else tuple(each.lower() for each in self.typ)

    @property
    def takes_many_audiences(self) -> bool:
        """Whether a token that is meant for others too is taken."""
        return self.product.many_audiences if self.many_audiences is None else self.many_audiences

    @property
    def teams(self) -> frozenset[str]:
        """Every team that this entry names."""
        named = {each.team for table in (self.scopes, self.roles, self.groups) for each in table.values()}
        return frozenset(team for team in {*named, self.team} if team is not None)

    def _gives_teams(self) -> bool:
        return bool(self.teams) or self.team_claim is not None

    def _check_identity(self) -> None:
        if not self.issuer or not self.issuer.isascii() or not self.issuer.isprintable() or " " in self.issuer:
            raise ValueError("issuer must be the exact iss of the tokens, in printable ASCII")
        if not self.audiences or not all(self.audiences):
            raise ValueError("audiences must name at least one, or a token for any other service would open this one")
        if not self.algorithms:
            raise ValueError("algorithms must name at least one")
        if self.typ is not None and not self.typ:
            raise ValueError("typ must name at least one, or be null")

    def _check_keys(self) -> None:
        if [bool(self.jwks_url), self.discovery, bool(self.jwks_file)].count(True) != 1:
            raise ValueError("needs one source of keys: jwks_url, discovery: true, or jwks_file")
        if self.discovery_url is not None and not self.discovery:
            raise ValueError("discovery_url is for discovery: true only")
        if self.jwks_file is not None and self.ca_file is not None:
            raise ValueError("ca_file is for keys that come over the network")
        if self.min_rsa_bits < MIN_RSA_BITS:
            raise ValueError(f"min_rsa_bits must be at least {MIN_RSA_BITS}")
        check_hosts("jwks_hosts", self.jwks_hosts)
        _check_url("jwks_url", self.jwks_url)
        if self.discovery:
            _check_url("discovery_url", self.discovery_url or self.issuer.rstrip("/") + DISCOVERY_PATH)


def check_hosts(name: str, hosts: tuple[str, ...]) -> None:
    """Hosts without a port, each one name or address. Raises ValueError."""
    for host in hosts:
        if not is_host(host):
            raise ValueError(f"{name} holds {host!r}: write one name or address, without scheme, port or '*'")


def _check_url(name: str, text: str | None) -> None:
    if text is None:
        return
    try:
        read_issuer_url(text)
    except ValueError as fault:
        raise ValueError(f"{name} {fault}") from None


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}")
