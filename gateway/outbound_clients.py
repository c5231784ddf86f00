"""Opens the clients for the hosts that Corral itself calls, by the way that `egress` in config.yaml says.

Each call of the gateway to another host begins here, so that a host which an identity provider's document names is
judged as one that stands in the files (policies/addresses/egress.py has the rules).
"""

from pathlib import Path

from gateway.configuration.called_hosts import called_place
from gateway.homes.plain_file import read_secret_line
from gateway.outbound import Outbound, OutboundFault, Way
from policies.addresses.egress import Egress, EgressHost, NotNamed

MAX_LOGIN_BYTES = 1024


class OutboundClients:
    """See the head of the module; files are relative to `home`."""

    def __init__(self, egress: Egress, home: Path) -> None:
        self._egress = egress
        self._home = home

    def open(
        self,
        base_url: str,
        *,
        ca_file: str | None,
        connect_timeout_s: float,
        idle_timeout_s: float,
        api_key: str = "",
    ) -> Outbound:
        """A client for `base_url`, which has not called yet.

        Raises OutboundFault for a host that is not to be called, and for a file on its way that cannot be used.
        """
        way = self.way(base_url, ca_file)
        try:
            return Outbound(
                base_url,
                connect_timeout_s=connect_timeout_s,
                idle_timeout_s=idle_timeout_s,
                api_key=api_key,
                way=way,
            )
        except OSError as fault:
            raise _unusable(way.ca_file or "the system's authorities", fault) from None
        except ValueError as fault:
            raise OutboundFault(f"{base_url}: {fault}") from None

    def way(self, base_url: str, ca_file: str | None) -> Way:
        """How to get to the host of `base_url`; `ca_file` is the caller's own. Raises OutboundFault."""
        host = self._named(base_url)
        bundle = ca_file or (host.ca_file if host is not None else None)
        return Way(
            ca_file=self._home / bundle if bundle is not None else None,
            proxy=host.proxy if host is not None else None,
            proxy_login=self._login(host.proxy_login_file) if host is not None and host.proxy_login_file else None,
        )

    def _named(self, base_url: str) -> EgressHost | None:
        place = called_place(base_url)
        if place is None:
            raise OutboundFault(f"{base_url!a} is no address that can be called: write scheme, host and port in ASCII")
        try:
            return self._egress.way(*place)
        except NotNamed as fault:
            raise OutboundFault(str(fault)) from None

    def _login(self, name: str) -> tuple[str, str]:
        path = self._home / name
        try:
            user, password = read_secret_line(path, MAX_LOGIN_BYTES).split(":", 1)
        except OSError as fault:
            raise _unusable(path, fault) from None
        except ValueError:
            what = f"user:password in one line, of {MAX_LOGIN_BYTES} characters at most"
            raise OutboundFault(f"{path} must hold {what}") from None
        return user, password


def _unusable(path: Path | str, fault: OSError) -> OutboundFault:
    cause = fault.strerror or type(fault).__name__
    return OutboundFault(f"{path} cannot be used: {cause}: put it there, or name another in config.yaml or policy.yaml")
