"""From `store:` in config.yaml to the store that several gateways share."""

import secrets
from pathlib import Path

from gateway.clock import Clock
from gateway.configuration.settings import StoreSettings
from gateway.homes.home import Home
from gateway.homes.private_file import write_private
from gateway.limits.fallback_store import FallbackStore
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from gateway.limits.redis_store import RedisStore

MAX_NAME = 128  # bytes; what is longer was not written by us


def open_shared_store(settings: StoreSettings, home: Home, place: str, clock: Clock) -> FallbackStore:
    """The store, not yet started. Raises SharedStoreFault, OSError."""
    timeout_s = settings.timeout_ms / 1000
    link = RedisLink(connections_to(settings, home.path), timeout_s=timeout_s)
    name = gateway_name(home.run, place)
    return FallbackStore(RedisStore(link), clock, name, settings.on_failure, timeout_s)


def gateway_name(run: Path, place: str) -> str:
    """A name that no other gateway has, the same whenever a gateway takes this place again.

    It is made once and kept in the run folder: two hosts may have one name, and two homes one host.
    """
    file = run / f"{place}.gateway"
    if not file.exists():
        write_private(file, f"{place}-{secrets.token_hex(8)}".encode(), mode=0o600)
    return file.read_text("ascii")[:MAX_NAME]
