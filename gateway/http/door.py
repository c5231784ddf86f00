"""Step 0, for what differs between listeners: the names a listener answers to and the web origins it lets call."""

import functools
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509

from gateway.configuration.settings import ListenSettings
from gateway.incoming import Header
from policies.addresses.host_names import LOOPBACK, HostNames, read_host_names, require_host
from policies.addresses.web_origin import read_origins, require_origin


class Door:
    """One listener's. `certificate_hosts` gives the names of the certificate in force, and is asked each time."""

    def __init__(self, settings: ListenSettings, certificate_hosts: Callable[[], tuple[str, ...]]) -> None:
        self._own = read_host_names((*LOOPBACK, *settings.hosts))
        self._origins = read_origins(settings.cors_origins)
        self._certificate_hosts = certificate_hosts

    def require(self, headers: Iterable[Header], local: str) -> str:
        """The request's web origin, "" without one. Raises HostNotAllowed or OriginNotAllowed.

        `local` is the address that the connection came in on, "" when it has none.
        """
        names = tuple(headers)
        self.require_host(names, local)
        return require_origin(self._origins, names)

    def require_host(self, headers: Iterable[Header], local: str) -> None:
        """The part of `require` on names alone. Raises HostNotAllowed."""
        require_host(self._own.joined(_read_certificate_hosts(self._certificate_hosts())), headers, local)


def certificate_hosts(chain: Path) -> tuple[str, ...]:
    """The DNS names and addresses that the leaf of a PEM chain is for. Raises OSError and ValueError."""
    leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (
        each for each in names.get_values_for_type(x509.IPAddress) if isinstance(each, IPv4Address | IPv6Address)
    )
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


@functools.lru_cache(maxsize=4)
def _read_certificate_hosts(names: tuple[str, ...]) -> HostNames:
    """Those that a Host can hold: a certificate may carry others beside them."""
    usable = HostNames(frozenset())
    for name in names:
        try:
            usable = usable.joined(read_host_names((name,)))
        except ValueError:  # such as a wildcard within a label: it allows nothing
            continue
    return usable
