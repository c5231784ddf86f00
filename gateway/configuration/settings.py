"""The machine: what `config.yaml` says, as one immutable value. Read by `gateway.configuration.config` alone."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from engine.settings import EngineSettings

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """One listener.

    `address` is an IP address (no names: a resolver must not decide where we listen). `port` 0 takes any
    that is free. `handshake_timeout_s` bounds the TLS handshake, `header_timeout_s` the headers from their
    first byte, `body_timeout_s` the body, `write_timeout_s` one write to a slow reader, `idle_timeout_s` an
    idle keep-alive connection. `max_connections` bounds the whole listener, `max_body_bytes` any body.
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
    max_body_bytes: int = 8 * 1024 * 1024
    unsafe_no_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings(ListenSettings):
    """The listener for the admin API and metrics. Its keys are those of `public`; only the port differs.

    `port` 0 takes any that is free.
    """

    port: int = 8444


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The server's certificate, paths relative to the home.

    `certificate` is the chain in PEM, server first. `key` is its private key in PEM.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    certificate: str = "tls/server.pem"
    key: str = "tls/server.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """A model server that already runs.

    `name` stands in logs and metrics. `kind` is the API it speaks. `url` is where it listens. `slots` is how
    many requests it is given at once. `models` are those to offer; null takes what the upstream lists.
    `ca_file` is a PEM bundle for an https upstream, relative to the home. `api_key_file` is a file with its
    key, relative to the home. `connect_timeout_s` bounds a connection, `idle_timeout_s` the silence within
    an answer. `refresh_s` is how often its model list is asked for. `unsafe_plain_http` allows an http address
    beyond this machine: prompts and answers cross the network in clear.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The audit log. `segment_bytes` bounds one file of it."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    segment_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The gateway process.

    `processes` is how many run side by side. `admin_group` names a Unix group whose members may use the
    admin commands beside the owner and root. After SIGTERM it stays open `drain_notice_s` with readiness
    down, then finishes running streams within `drain_s`.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    processes: int = 1
    admin_group: str | None = None
    drain_notice_s: float = 2.0
    drain_s: float = 30.0


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
