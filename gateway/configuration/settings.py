"""The machine: what `config.yaml` says, as one immutable value. Read by `gateway.configuration.config` alone."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from engine.settings import EngineSettings
from gateway.configuration.oidc_settings import OidcSettings
from policies.addresses.egress import ANYWHERE, Egress
from policies.policy_file.ssh_signature import Signer, read_signer

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}
TlsProfile = Literal["intermediate", "modern"]
ClientCertificates = Literal["off", "optional", "required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """One listener.

    `address` is an IP address (no names: a resolver must not decide where we listen). `port` 0 takes any
    that is free. `handshake_timeout_s` bounds the TLS handshake, `header_timeout_s` the headers from their
    first byte, `body_timeout_s` the body, `write_timeout_s` one write to a slow reader, `idle_timeout_s` an
    idle keep-alive connection. `max_connections` bounds the whole listener, `max_body_bytes` any body,
    `max_bodies_bytes` the memory of all bodies together.
    `max_connections_per_address` bounds what one client address holds of the connections (IPv6: one /64); a trusted
    proxy speaks for many and is not bounded.
    `hosts` are names a request's Host may hold beside those of the server's certificate, localhost and the address
    it came in on; `*.example.org` stands for one label. `cors_origins` are the web origins whose pages may
    call, exactly as a browser sends them (`https://chat.example.org`); a request from any other is refused.
    `client_certificates` asks clients for a certificate of `tls.client_ca`: `optional` takes one that is shown,
    `required` lets nobody in without.
    `proxy_protocol` lets only trusted proxies connect, and each connection begins with a PROXY header (version 2)
    that names the client; `policy.yaml` must say `forwarded_header: proxy-v2` and name the proxies.
    `unsafe_no_tls` serves in clear: keys and prompts can be read on the way.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    address: str = "127.0.0.1"
    port: int = 8443
    handshake_timeout_s: float = 10.0
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    max_connections: int = 4096
    max_connections_per_address: int = 256
    max_body_bytes: int = 8 * 1024 * 1024
    max_bodies_bytes: int = 256 * 1024 * 1024
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    client_certificates: ClientCertificates = "off"
    proxy_protocol: bool = False
    unsafe_no_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings(ListenSettings):
    """The listener for the admin API and metrics. Its keys are those of `public`; only the port differs.

    `port` 0 takes any that is free.
    """

    port: int = 8444


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings(ListenSettings):
    """The listener for the console's pages. Its keys are those of `public`; the port differs, and TLS it always needs.

    `enabled` opens it. `port` 0 takes any that is free. `max_body_bytes` bounds any form, `max_bodies_bytes` the memory
    of all forms together. `oidc` lets people sign in through an identity provider; null leaves client
    certificates, and API keys with the scope admin for emergencies. `unsafe_no_tls` must stay false: browsers send the
    cookie over TLS only. `cors_origins` must stay empty: no other site's page may call the console.
    """

    enabled: bool = False
    port: int = 8445
    max_connections: int = 512
    max_body_bytes: int = 1024 * 1024
    max_bodies_bytes: int = 32 * 1024 * 1024
    oidc: OidcSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The server's certificate, paths relative to the home.

    `certificate` is the chain in PEM, server first. `key` is its private key in PEM. `profile` is one of Mozilla's
    guidelines: `intermediate` speaks TLS 1.2 and 1.3, `modern` 1.3 alone. `client_ca` is the PEM bundle of the
    authorities that sign clients' certificates themselves; no other, the system's least of all, is trusted.
    `client_crl` holds their revocation lists in PEM; a list that is overdue lets none of its clients in. These files
    are watched: a changed one holds from the next connection, and the old one until the new one can be used.
    `host_openssl_config` leaves the host's OpenSSL configuration in force (a FIPS host) in place of ours, which names
    the key exchange groups; P-256 alone is offered then.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    certificate: str = "tls/server.pem"
    key: str = "tls/server.key"
    profile: TlsProfile = "intermediate"
    client_ca: str | None = None
    client_crl: str | None = None
    host_openssl_config: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """A model server that already runs.

    `name` stands in logs and metrics. `kind` is the API it speaks. `url` is where it listens. `slots` is how
    many requests it is given at once. `models` are those to offer; null takes what the upstream lists.
    `ca_file` is a PEM bundle for an https upstream, relative to the home. `api_key_file` is a file with its
    key, relative to the home. `connect_timeout_s` bounds a connection, `idle_timeout_s` the silence within
    an answer. `refresh_s` is how often its model list is asked for. `unsafe_plain_http` allows an http address
    beyond this machine: prompts and answers cross the network in clear. `network_isolated` says that nobody but
    this gateway can reach the server, so that it need not refuse whoever shows no key (see `back_door`). `counts` is
    "corral" for a second Corral: it is asked what it has served, which `corral audit reconcile` compares.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    name: str
    kind: Literal["ollama"]
    url: str
    slots: int = 4
    models: tuple[str, ...] | None = None
    ca_file: str | None = None
    api_key_file: str | None = None
    connect_timeout_s: float = 5.0
    idle_timeout_s: float = 120.0
    refresh_s: float = 15.0
    unsafe_plain_http: bool = False
    network_isolated: bool = False
    counts: Literal["corral"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """A witness that cosigns this log's checkpoints.

    `url` is where it listens; each checkpoint goes to its add-checkpoint. `vkey` is its verifier key, the line that
    `corral audit witness init` printed. `ca_file` is a PEM bundle for it, relative to the home.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    url: str
    vkey: str
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSettings:
    """A place that keeps the checkpoints apart from the log: one of a file, a syslog server, a collector.

    `file` is a file on another volume, to which each is appended and synced; its folder must be there. `syslog` is
    host:port of a server for RFC 5424 over TLS (RFC 5425). `http` is the address of a collector that each is posted to.
    `ca_file` is a PEM bundle for syslog or http, `api_key_file` a file with the collector's bearer key, both relative
    to the home.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    file: str | None = None
    syslog: str | None = None
    http: str | None = None
    ca_file: str | None = None
    api_key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The audit log. `segment_bytes` bounds one file of it.

    `retention_days` is how long it is kept, at least 180; a shorter time than before waits for two of
    `policy.signers`, where there are any. `durability` says when the record of a served request's end
    is on the disk: "strict" before the last of its answer is sent, "standard" within a second after. `reserve_bytes` is
    kept free on its disk so that a full one can still be recorded (less on a small disk). Of refusals for one reason
    from one network so many a minute have a record of their own: `full_refusals_per_minute`; the rest are counted.
    `count_every_s` is how often the workers' own counts are written. `witnesses` cosign each checkpoint. `anchors` keep
    a copy of each. When none of these has taken the newest checkpoint for `anchor_max_age_s`, `anchor_overdue` says
    what happens: "warn" records it, "refuse" serves no request until one has; null never looks.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    segment_bytes: int = 64 * 1024 * 1024
    retention_days: int = 400
    durability: Literal["strict", "standard"] = "strict"
    reserve_bytes: int = 64 * 1024 * 1024
    full_refusals_per_minute: int = 60
    count_every_s: float = 60.0
    witnesses: tuple[WitnessSettings, ...] = ()
    anchors: tuple[AnchorSettings, ...] = ()
    anchor_max_age_s: float | None = None
    anchor_overdue: Literal["warn", "refuse"] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The gateway process.

    `processes` is how many run side by side. `admin_group` names a Unix group whose members may use the
    admin commands beside the owner and root. After SIGTERM it stays open `drain_notice_s` with readiness
    down, then finishes running streams within `drain_s`. When what is revoked cannot be heard of, its copy
    of the keys is trusted for `stale_keys_s`, then every credential is refused until it can.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    processes: int = 1
    admin_group: str | None = None
    drain_notice_s: float = 2.0
    drain_s: float = 30.0
    stale_keys_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerSettings:
    """Who must sign policy.yaml before it is taken, at the start as while running. Two of them agree to what one person
    must not do alone, see docs/two-persons.md.

    `required` is how many different signers a policy takes. `keys` are their SSH public keys, each the line of a
    .pub file with the signer's name at its end, such as "ssh-ed25519 AAAA... anna".
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    required: int
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        signers = self.read()
        if not 1 <= self.required <= len(signers):
            raise ValueError(f"required must be 1 to {len(signers)}, the number of keys")
        for what, words in (("names", {each.name for each in signers}), ("keys", {each.blob for each in signers})):
            if len(words) != len(signers):
                raise ValueError(f"two of the keys have the same {what[:-1]}: the {what} must differ")

    def read(self) -> tuple[Signer, ...]:
        """The signers. Raises ValueError only while this is being made."""
        found = []
        for place, text in enumerate(self.keys, 1):
            try:
                found.append(read_signer(text))
            except ValueError as fault:
                raise ValueError(f"key {place} {fault}") from None
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """How policy.yaml is taken.

    `signers` are those who must sign it; null takes it unsigned, and the log then says "author unknown".
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    signers: SignerSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The Redis in which several gateways count their limits as one, and through which they share keys and one queue.

    `url` is `redis+unix:///path/to/socket` or `rediss://host:port/db`: it needs TLS and a password unless it is
    a Unix socket. `password_file` holds the password, `ca_file` the PEM bundle of the server's issuer, both
    relative to the home; null for the bundle takes the system's. `timeout_ms` bounds one decision. `on_failure`
    says what holds while Redis is away: `local` counts rates here, from empty, at this gateway's share, `closed`
    refuses whatever is limited, `unsafe_open` limits nothing; budgets are refused in all but the last.
    `unsafe_plain_redis` allows a `redis://` address: anyone on the way can read and change the counts.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    url: str
    password_file: str | None = None
    ca_file: str | None = None
    on_failure: Literal["local", "closed", "unsafe_open"] = "local"
    timeout_ms: int = 50
    unsafe_plain_redis: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackDoorSettings:
    """The look for model servers that can be reached past this gateway.

    With `enabled` the model servers of this machine that are bound beyond loopback, and every upstream elsewhere,
    are asked whether they refuse who shows no key; an upstream that does not is not used until it does. After
    the look at the start comes another every `interval_s`.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    enabled: bool = True
    interval_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole of `config.yaml`."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    public: ListenSettings = field(default_factory=ListenSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    upstreams: tuple[UpstreamSettings, ...] = ()
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    store: StoreSettings | None = None
    back_door: BackDoorSettings = field(default_factory=BackDoorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    egress: Egress = ANYWHERE
