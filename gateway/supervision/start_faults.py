"""Everything that `corral serve` refuses to start with, and to replace its gateway with, from all who check it."""

import time
from pathlib import Path

from gateway.configuration.settings import Config
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.supervision.startup_checks import startup_faults
from gateway.supervision.startup_files import file_faults, parser_faults
from policies.errors import PolicyUnavailable
from policies.policy import Policy


def start_faults(home: Home, config: Config, policy: Policy) -> list[str]:
    """All faults, one line each with its remedy; empty when a gateway may start."""
    faults = parser_faults() + file_faults(home, config)
    if faults:
        # Whether there is a key cannot be said of a store that may be out of reach, nor of a disk that is full.
        return faults + startup_faults(config, policy, has_key=True)
    try:
        return startup_faults(config, policy, has_key=_has_key(home.keys))
    except PolicyUnavailable as fault:
        remedy = "free space on its disk if that is full, else restore it from a backup"
        return [f"the key store {home.keys} cannot be used ({fault.reason}): {remedy}"]


def _has_key(path: Path) -> bool:
    """Whether the key store at `path` holds a key that is active now. Raises PolicyUnavailable."""
    store = KeyStore.open(path)
    try:
        return any(record.state(time.time()) == "active" for record in store.records())
    finally:
        store.close()
