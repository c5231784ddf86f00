"""The people: what `policy.yaml` says, as one immutable value.

A `Policy` is taken once, at step 1 of a request, and handed along; a request never sees half of a
change. Validation of single values happens in the types here (each raises ValueError with a
sentence an operator understands); reading the file is `gateway.configuration.config`'s work.
"""

import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from policies.addresses.networks import Address, ListenerNetworks, Networks
from policies.addresses.trusted_proxies import NOBODY, ForwardedHeader, TrustedProxies
from policies.certificates.certificate_mapping import CertificateIdentity
from policies.console.roles import RoleGrant
from policies.tokens.issuer import Issuer
from policies.worded import worded

TEAM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}
BOUNDS = (
    "requests_per_minute",
    "burst_requests",
    "concurrent_requests",
    "prompt_tokens_per_minute",
    "output_tokens_per_minute",
    "tokens_per_day",
    "tokens_per_month",
)
"""The fields of `Limits` that are numbers, as `corral grants` names them."""
MAX_BOUND = 10**9
"""One request then costs 60 ns, which whole nanoseconds still tell apart."""
MAX_WEIGHT = 10**6
"""Beyond it one team's counter would stand still in a double."""
MAX_RETENTION_DAYS = 36_500
MAX_BUDGET = 10**12
"""Sums stay exact in a double (2**53), which is what a shared store counts in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one key, team, model, address, or on all callers. null means no bound of this kind.

    `requests_per_minute` is a sustained rate with a burst of `burst_requests`; `concurrent_requests`
    counts requests queued or running. `prompt_tokens_per_minute` and `output_tokens_per_minute` hold in
    any minute: a request counts with the longest answer it may give until it is settled with what it used.
    `tokens_per_day` and `tokens_per_month` are budgets of prompt and output tokens together, by the calendar in
    UTC. `mode` is `enforce`, or `report` to record what would have been refused and refuse nothing.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    requests_per_minute: int | None = None
    burst_requests: int = 60
    concurrent_requests: int | None = None
    prompt_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    mode: Literal["enforce", "report"] = "enforce"

    def __post_init__(self) -> None:
        for name in BOUNDS:
            value = getattr(self, name)
            most = MAX_BUDGET if name in ("tokens_per_day", "tokens_per_month") else MAX_BOUND
            if value is not None and value < 1:
                raise ValueError(worded(f"{name} must be at least 1, or null for no limit", "limit_low", limit=name))
            if value is not None and value > most:
                line = f"{name} must be at most {most}, or null for no limit"
                raise ValueError(worded(line, "limit_high", limit=name, most=most))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits(Limits):
    """Bounds on each single key or other credential of a team; fields as in `limits`, with defaults that bound."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    requests_per_minute: int | None = 600
    burst_requests: int = 60
    concurrent_requests: int | None = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLimits(Limits):
    """Bounds on each single client address (IPv6: its /64); fields as in `limits`, with defaults that bound."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    requests_per_minute: int | None = 3000
    burst_requests: int = 600


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One rank of teams: a higher band's work goes first, but for what lower bands are guaranteed.

    `share` of the slots' time is the band's whenever it has work, however much the bands above it ask. With `lends`
    false its share of the slots is even kept free for it, so that its next request need not wait for a slot.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    share: float = 0.1
    lends: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError("share must be between 0 and 1")


DEFAULT_ANSWER_S = 600.0
"""Where official clients give up."""
BANDS = {"interactive": Band(share=0.3), "standard": Band(share=0.3), "batch": Band(share=0.1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamAudit:
    """What the audit log keeps of a team's prompts and answers.

    `content` is `none`, `hmac` (two digests, by which a text that somebody brings is found), `redacted` (the text
    without what the masks know, enciphered) or `full` (the text and its pictures, enciphered). What is kept of a text
    is deleted after `content_retention_days`.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    content: Literal["none", "hmac", "redacted", "full"] = "hmac"
    content_retention_days: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.content_retention_days <= MAX_RETENTION_DAYS:
            raise ValueError(f"content_retention_days must be between 1 and {MAX_RETENTION_DAYS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One team: what it may use, from where, and how much of it.

    `models` are catalogue names; `"*"` means every model. `limits` bound the whole team, `key_limits`
    each of its keys or other credentials. `weight` is its share of a contended
    pool among the teams of its `band`, which is one of the policy's `bands`; a request may ask for a lower one, never
    for a higher one. `first_token_s` is the promised time from a request's arrival to its first token: what
    cannot be kept is refused at once, with the time to come back (null promises only `max_wait_s`); `promise_mode` is
    `enforce`, or `report` to record what would have been refused and refuse nothing.
    `max_queued` bounds its waiting requests, `max_wait_s` how long each of them waits,
    `max_answer_s` how long one answer may be written (600 s is where official clients give up),
    `max_output_tokens` the length of one answer. `stream` is how streamed answers are cut into records, whose
    sizes and times tell an observer of the encrypted line something of their topic: `plain`, `padded` (few sizes)
    or `batched` (few sizes, several tokens together). `isolation` is how far its requests are kept from other
    teams': `cache` shares workers but no cached prefix, `worker` shares no process either: a worker that goes over to
    another team, or to this one, is a new process. Upstreams cannot do that, so it may use none. `audit` says what the
    log keeps of its prompts and answers.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    models: tuple[str, ...] = ()
    networks: Networks = field(default_factory=Networks)
    limits: Limits = field(default_factory=Limits)
    key_limits: KeyLimits = field(default_factory=KeyLimits)
    weight: float = 1.0
    band: str = "standard"
    first_token_s: float | None = None
    promise_mode: Literal["enforce", "report"] = "enforce"
    max_queued: int = 64
    max_wait_s: float = 120.0
    max_answer_s: float = DEFAULT_ANSWER_S
    max_output_tokens: int = 4096
    stream: Literal["plain", "padded", "batched"] = "plain"
    isolation: Literal["cache", "worker"] = "cache"
    audit: TeamAudit = field(default_factory=TeamAudit)

    def __post_init__(self) -> None:
        if not 0 < self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight must be above 0 and at most {MAX_WEIGHT}")
        if self.first_token_s is not None and not self.first_token_s > 0:
            raise ValueError("first_token_s must be above 0, or null for no promise")
        if self.max_queued < 1 or self.max_output_tokens < 1:
            raise ValueError("max_queued and max_output_tokens must be at least 1")
        if not (self.max_wait_s > 0 and self.max_answer_s > 0):
            raise ValueError("max_wait_s and max_answer_s must be above 0")

    def may_use(self, model: str) -> bool:
        """True when the team's list names `model` (the catalogue's spelling) or `*`."""
        return may_use(self.models, model)


def may_use(models: tuple[str, ...] | None, model: str) -> bool:
    """True when `models` names `model` (the catalogue's spelling) or `*`; None is no list of its own."""
    return models is None or "*" in models or _model_key(model) in map(_model_key, models)


def _model_key(name: str) -> str:
    """What two spellings of a model's name have in common: letter case, and the tag `latest` left out."""
    lower = name.lower()
    return lower if ":" in lower else f"{lower}:latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole of `policy.yaml`. `networks` is the global list; teams narrow it, never widen it.

    `teams` are those who may call, by name. `limits` bound all callers together, `address_limits` each client
    address, `model_limits` one model for all who use it, by the catalogue's name.
    `listeners` are lists for one listener each.
    `trusted_proxies` are the networks whose word about the client's address is taken; none by default.
    `forwarded_header` is the one header family they give it in: `proxy-v2` is the PROXY protocol, for listeners
    with `proxy_protocol` in `config.yaml`. `unsafe_trust_all_proxies` lets `trusted_proxies` hold networks wider
    than IPv4 /8 and IPv6 /7: whoever is in one of them writes the address it is judged by.
    `issuers` are the identity providers whose tokens are taken, by a name of ours; none by default.
    `max_queued` bounds waiting requests over all teams, so memory is bounded whatever the teams say.
    `bands` are the ranks of teams, highest first, by name.
    `failed_credentials_per_minute` bounds guessing from one network (IPv4 /24, IPv6 /56).
    `certificates` says whom a client certificate stands for, by one of its names (`uri:`, `dns:` or `email:`).
    `roles` says who holds which role on the console; by default nobody.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN | {"arbitrary_types_allowed": True}  # `proxies`, made here

    teams: dict[str, Team]
    networks: Networks = field(default_factory=Networks)
    listeners: ListenerNetworks = field(default_factory=ListenerNetworks)
    limits: Limits = field(default_factory=Limits)
    address_limits: AddressLimits = field(default_factory=AddressLimits)
    model_limits: dict[str, Limits] = field(default_factory=dict)
    issuers: dict[str, Issuer] = field(default_factory=dict)
    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    unsafe_trust_all_proxies: bool = False
    failed_credentials_per_minute: int = 100
    max_queued: int = 512
    bands: dict[str, Band] = field(default_factory=lambda: dict(BANDS))
    certificates: dict[str, CertificateIdentity] = field(default_factory=dict)
    roles: tuple[RoleGrant, ...] = ()
    proxies: TrustedProxies = field(init=False, repr=False, compare=False, default=NOBODY)

    def __post_init__(self) -> None:
        with contextlib.suppress(ValueError):  # told by the reader of the file, each with its line; until then: nobody
            wide = self.unsafe_trust_all_proxies
            proxies = TrustedProxies(self.trusted_proxies, self.forwarded_header, unsafe_trust_all=wide)
            object.__setattr__(self, "proxies", proxies)
        for name in self.teams:
            if not TEAM_NAME.match(name):
                raise ValueError(
                    f"team name {name!r} must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit"
                )
        if self.max_queued < 1 or self.failed_credentials_per_minute < 1:
            raise ValueError("max_queued and failed_credentials_per_minute must be at least 1")
        if len(set(map(_model_key, self.model_limits))) < len(self.model_limits):
            raise ValueError("model_limits names one model in two spellings")

    def require_address(self, client: Address, listener: Literal["public", "admin", "console"]) -> None:
        """Step 2: the global list and the listener's own must both let `client` in. Raises AddressNotAllowed."""
        self.networks.require(client, "global_network")
        self.listeners.of(listener).require(client, "listener_network")

    def may_connect(self, peer: Address, listener: Literal["public", "admin", "console"]) -> bool:
        """Whether a connection is worth a handshake: its peer may be a client, or may speak for one."""
        return self.proxies.trusts(peer) or (self.networks.allows(peer) and self.listeners.of(listener).allows(peer))

    def longest_answer_s(self) -> float:
        """How long an answer of any team may be written; of a policy without teams, what a team may by default."""
        return max((team.max_answer_s for team in self.teams.values()), default=DEFAULT_ANSWER_S)

    def limits_of_model(self, model: str) -> Limits:
        """The bounds on `model`, however its name is spelt; none when the policy names none."""
        wanted = _model_key(model)
        return next((each for name, each in self.model_limits.items() if _model_key(name) == wanted), NO_LIMITS)
