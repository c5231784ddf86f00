"""Who is at the other end of the admin socket: the kernel's word (SO_PEERCRED), not the caller's."""

import grp
import os
import pwd
import socket
import struct

from msgspec import Struct

from policies.audit_record import Actor

_UCRED = struct.Struct("iII")
"""pid, uid, gid; see unix(7)."""


class Peer(Struct, frozen=True):
    """A process's user at the moment it connected; `name` is `uid N` where the system knows none."""

    uid: int
    gid: int
    name: str

    def actor(self) -> Actor:
        """The peer as the log names them."""
        return Actor(kind="operator", id=str(self.uid), name=self.name, method="so_peercred")


def read_peer(connection: socket.socket) -> Peer:
    """The peer of a connected Unix socket. May ask the name service; raises OSError."""
    _, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(uid, gid, user_name(uid))


def user_name(uid: int) -> str:
    """The user's name, or `uid N`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def may_administer(peer: Peer, owner_uid: int, admin_gid: int | None) -> bool:
    """Whether the peer is root, the owner, or of the admin group (None: there is none)."""
    if peer.uid in (0, owner_uid):
        return True
    return admin_gid is not None and admin_gid in _groups(peer)


def group_id(name: str) -> int:
    """The id of the group called `name`. Raises KeyError."""
    return grp.getgrnam(name).gr_gid


def _groups(peer: Peer) -> set[int]:
    try:
        name = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        return {peer.gid}
    return {peer.gid, *os.getgrouplist(name, peer.gid)}
