"""What one gateway process is given."""

import grp
import socket
from dataclasses import dataclass
from pathlib import Path

from gateway.configuration.settings import Config
from gateway.homes.home import Home
from gateway.policy_in_force import PolicyInForce
from policies.access import ListenerName


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Its home, both files, and the sockets it inherited.

    `groups_configured`: OPENSSL_CONF of this process names the key exchange groups of TLS.
    """

    home: Home
    config: Config
    policy_file: Path
    in_force: PolicyInForce
    sockets: dict[ListenerName, socket.socket]
    groups_configured: bool = False


class UnknownGroup(Exception):
    """config.yaml names a group that this machine does not have."""


def admin_gid(config: Config) -> int | None:
    """The id of the group that may use the admin commands, None for no group. Raises UnknownGroup."""
    name = config.gateway.admin_group
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise UnknownGroup(f"gateway.admin_group: no group is called {name!r}: make it, or name another") from None
