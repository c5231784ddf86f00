"""Listening sockets, bound by the supervisor and inherited by the processes that accept on them.

They outlive every process but the supervisor: while a gateway or worker is replaced, callers wait in
the backlog instead of being refused.
"""

import errno
import ipaddress
import socket
from pathlib import Path

from gateway.configuration.settings import ListenSettings

TCP_BACKLOG = 1024
UNIX_BACKLOG = 64  # gateways, of which there are few


class ListenFault(Exception):
    """A socket cannot be had; the message is one line: what, where, and the remedy."""


def listen_tcp(settings: ListenSettings, name: str) -> socket.socket:
    """A socket that listens as `settings` say; `name` is their place in config.yaml. Raises ListenFault."""
    family = socket.AF_INET6 if ipaddress.ip_address(settings.address).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it a restart within a minute fails on connections in TIME_WAIT; two listeners stay impossible.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((settings.address, settings.port))
        listener.listen(TCP_BACKLOG)
        listener.setblocking(False)
    except OSError as fault:
        listener.close()
        raise ListenFault(_explain(fault, settings, name)) from None
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A socket that listens at `path`, mode 0600, in place of what an earlier run left. Raises ListenFault."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(UNIX_BACKLOG)
        listener.setblocking(False)
    except OSError as fault:
        listener.close()
        raise ListenFault(f"cannot listen at {path}: {fault.strerror or fault}") from None
    return listener


def _explain(fault: OSError, settings: ListenSettings, name: str) -> str:
    place = f"{settings.address}, port {settings.port}"
    if fault.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} is in use on {settings.address}: "
            f"stop the other program or set {name}.port in config.yaml"
        )
    if fault.errno == errno.EADDRNOTAVAIL:
        return f"no network interface here has the address {settings.address}: set {name}.address in config.yaml"
    if fault.errno == errno.EACCES:
        return f"not allowed to listen on {place}: set {name}.port in config.yaml to 1024 or above"
    return f"cannot listen on {place} ({name} in config.yaml): {fault.strerror or fault}"
