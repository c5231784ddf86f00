"""What policy.yaml says of one client certificate: whom it stands for."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from policies.addresses.networks import Networks
from policies.credentials.key_record import check_scopes

NAME = re.compile(r"(?:dns:[a-z0-9*][a-z0-9*._-]*|uri:[a-z][a-z0-9+.-]*:[!-~]+|email:[!-~]+@[!-~]+)\Z")
"""A name as `policies.credentials.client_certificate` reads it; `dns:` in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIdentity:
    """Whom a client certificate stands for.

    `team` is a team of this policy. `scopes` are what it may do. `models` narrows the team's list; null leaves it.
    `networks` are where it may call from, within those of the team.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    team: str
    scopes: tuple[str, ...] = ("inference", "models")
    models: tuple[str, ...] | None = None
    networks: Networks = field(default_factory=Networks)

    def __post_init__(self) -> None:
        check_scopes(frozenset(self.scopes))


def check_certificate_name(name: str) -> None:
    """Raises ValueError with a sentence for an operator unless a certificate could carry `name`."""
    if not NAME.match(name):
        raise ValueError(
            f"certificate name {name!r} must be a subject alternative name such as 'uri:spiffe://example/app', "
            "'dns:app.example' (lower case) or 'email:app@example'"
        )
