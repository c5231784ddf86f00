"""From `console.oidc` of config.yaml to the parts of a sign-in at the provider, opened once with the console."""

from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.configuration.settings import Config, StoreSettings
from gateway.console.oidc.login_store import LoginStore, OwnLogins
from gateway.console.oidc.provider_link import ProviderLink
from gateway.console.oidc.redis_logins import RedisLogins
from gateway.homes.plain_file import read_secret_line
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from gateway.outbound_clients import OutboundClients
from policies.console.oidc_id_token import Client

MAX_SECRET_BYTES = 4096
STORE_TIMEOUT_S = 2.0


class ClientSecretFault(Exception):
    """The client's secret cannot be used; the message is one line with the path and the remedy."""


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """What a sign-in needs beside the sessions."""

    client: Client
    link: ProviderLink
    logins: LoginStore

    async def close(self) -> None:
        """Let the connections go."""
        await self.link.close()
        await self.logins.close()


def open_provider(config: Config, home: Path, clock: Clock) -> ProviderParts | None:
    """The parts; None without `console.oidc`. Raises ClientSecretFault, and SharedStoreFault for files of the store."""
    settings, store = config.console.oidc, config.store
    if settings is None:
        return None
    client = settings.client()
    secret = read_secret(home / settings.client_secret_file)
    link = ProviderLink(client, secret, OutboundClients(config.egress, home), clock)
    return ProviderParts(client, link, _logins(store, home))


def read_secret(path: Path) -> str:
    """The one line of the file. Raises ClientSecretFault when it is empty, of several lines, or cannot be read.

    That nobody else can read it is asked before the start (`gateway.supervision.startup_files`).
    """
    try:
        return read_secret_line(path, MAX_SECRET_BYTES)
    except (OSError, UnicodeDecodeError) as fault:
        cause = fault.strerror if isinstance(fault, OSError) else "it is not ASCII"
        raise ClientSecretFault(f"console.oidc.client_secret_file {path} cannot be read: {cause}") from None
    except ValueError:
        raise ClientSecretFault(
            f"console.oidc.client_secret_file {path} must hold the client's secret and no more"
        ) from None


def _logins(store: StoreSettings | None, home: Path) -> LoginStore:
    if store is None:
        return OwnLogins()
    return RedisLogins(RedisLink(connections_to(store, home), timeout_s=STORE_TIMEOUT_S))
