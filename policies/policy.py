"""The people: what `policy.yaml` says, as one immutable value.

A `Policy` is taken once, at step 1 of a request, and handed along; a request never sees half of a
change. Validation of single values happens in the types here (each raises ValueError with a
sentence an operator understands); reading the file is `gateway.configuration.config`'s work.
"""

import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from policies.networks import Network, Networks, read_network

TEAM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
FORBID_UNKNOWN: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one key of a team. None means no bound of this kind.

    `requests_per_minute` is a sustained rate with a burst of `burst_requests`; `concurrent_requests`
    counts requests queued or running.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    requests_per_minute: int | None = 600
    burst_requests: int = 60
    concurrent_requests: int | None = 32

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "burst_requests", "concurrent_requests"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or null for no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One team: what it may use, from where, and how much of it.

    `models` are catalogue names; `"*"` means every model. `weight` is its share of a contended
    pool. `max_queued` bounds its waiting requests, `max_wait_s` how long each of them waits,
    `max_answer_s` how long one answer may be written (600 s is where official clients give up),
    `max_output_tokens` the length of one answer.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    models: tuple[str, ...] = ()
    networks: Networks = field(default_factory=Networks)
    limits: Limits = field(default_factory=Limits)
    weight: float = 1.0
    max_queued: int = 64
    max_wait_s: float = 120.0
    max_answer_s: float = 600.0
    max_output_tokens: int = 4096

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError("weight must be above 0")
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

    `teams` are those who may call, by name. `trusted_proxies` are the networks whose word about the
    client's address is taken; none by default.
    `max_queued` bounds waiting requests over all teams, so memory is bounded whatever the teams say.
    `failed_credentials_per_minute` bounds guessing from one network (IPv4 /24, IPv6 /56).
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    teams: dict[str, Team]
    networks: Networks = field(default_factory=Networks)
    trusted_proxies: tuple[str, ...] = ()
    failed_credentials_per_minute: int = 100
    max_queued: int = 512
    proxies: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        with contextlib.suppress(ValueError):  # told by the reader of the file, each with its line; until then: nobody
            object.__setattr__(self, "proxies", tuple(map(read_network, self.trusted_proxies)))
        for name in self.teams:
            if not TEAM_NAME.match(name):
                raise ValueError(
                    f"team name {name!r} must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit"
                )
        if self.max_queued < 1 or self.failed_credentials_per_minute < 1:
            raise ValueError("max_queued and failed_credentials_per_minute must be at least 1")
