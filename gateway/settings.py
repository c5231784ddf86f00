"""The machine: what `config.yaml` says, as one immutable value. Read by `gateway.config` alone."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from engine.settings import EngineSettings

FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """One listener. `address` is an IP address (no names: a resolver must not decide where we listen).

    Deadlines in seconds: TLS handshake, headers from the first byte, body, one write to a slow reader,
    idle keep-alive. `max_connections` bounds the whole listener.
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
class TlsSettings:
    """Certificate chain and key in PEM, paths relative to the home."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    certificate: str = "tls/server.pem"
    key: str = "tls/server.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """A model server that already runs. `slots` is how many requests it is given at once.

    `ca_file` is a PEM bundle for an https upstream, `api_key_file` a file with its key, both relative
    to the home. `models` None takes what the upstream lists.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The log. `segment_bytes` bounds one file; `reserve_bytes` is released to log a full disk."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    segment_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The gateway process. After SIGTERM it stays open `drain_notice_s` with readiness down, then

    finishes running streams within `drain_s`.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    processes: int = 1
    drain_notice_s: float = 2.0
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole of `config.yaml`."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    public: ListenSettings = field(default_factory=ListenSettings)
    admin: ListenSettings = field(default_factory=lambda: ListenSettings(port=8444))
    tls: TlsSettings = field(default_factory=TlsSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    upstreams: tuple[UpstreamSettings, ...] = ()
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
