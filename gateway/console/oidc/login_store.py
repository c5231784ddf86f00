"""Where sign-ins under way are kept: in memory, or with more gateways in the Redis they share."""

from typing import Protocol

from policies.addresses.networks import Network
from policies.console.oidc_login import Pending
from policies.console.oidc_pending import PendingLogins


class LoginStore(Protocol):
    """Sign-ins by their places (`policies.console.oidc_login.Login.place`)."""

    async def put(self, place: str, pending: Pending, network: Network) -> None:
        """Keep `pending`, which began now, for `network`. Raises PolicyUnavailable."""
        ...

    async def take(self, place: str) -> Pending | None:
        """What was kept under `place`, for the only time. Raises PolicyUnavailable."""
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...


class OwnLogins:
    """Those of this process alone."""

    def __init__(self) -> None:
        self._kept = PendingLogins()

    async def put(self, place: str, pending: Pending, network: Network) -> None:
        """See LoginStore."""
        self._kept.put(place, pending, network)

    async def take(self, place: str) -> Pending | None:
        """See LoginStore."""
        return self._kept.take(place)

    async def close(self) -> None:
        """See LoginStore."""
