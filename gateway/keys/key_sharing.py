"""Keeps one gateway in touch with those of other hosts: tells and hears what changed each second, through Redis."""

import asyncio

import structlog

from gateway.configuration.settings import StoreSettings
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers
from gateway.keys.redis_keys import KeyMirror
from gateway.keys.trusted_copy import TrustedCopy
from gateway.limits.redis_connection import connections_to
from gateway.limits.redis_link import RedisLink
from policies.errors import PolicyUnavailable

EVERY_S = 1.0
TIMEOUT_S = 2.0
"""No request waits for this. With both, a revocation is on every host within five seconds, a slow answer included."""
CONNECTIONS = 1

log = structlog.get_logger("corral.keys")


class KeySharing:
    """Runs a mirror. What it cannot hear is logged once, and counted by `copy`, which refuses in the end."""

    def __init__(self, mirror: KeyMirror, copy: TrustedCopy) -> None:
        self._mirror = mirror
        self._copy = copy
        self._fault = ""

    async def hear(self) -> None:
        """Tell and hear once."""
        try:
            await self._mirror.sync()
        except PolicyUnavailable as fault:
            if fault.reason != self._fault:
                log.error("keys_not_shared", reason=fault.reason)
            self._fault = fault.reason
            return
        self._copy.heard_others()
        if self._fault:
            log.info("keys_shared_again")
        self._fault = ""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.hear()
            await asyncio.sleep(EVERY_S)

    async def close(self) -> None:
        """Let the connection go."""
        await self._mirror.close()


def open_sharing(settings: StoreSettings | None, home: Home, keys: KeyStore, copy: TrustedCopy) -> KeySharing | None:
    """The sharing that config.yaml asks for, if it does. Raises StoreFault and UnfitPepper."""
    if settings is None:
        return None
    link = RedisLink(connections_to(settings, home.path), timeout_s=TIMEOUT_S, max_connections=CONNECTIONS)
    return KeySharing(KeyMirror(keys, link, lambda: load_peppers(home.pepper)), copy)
