"""May Corral itself call this host, and by which way? The machine's file decides, never the environment.

Rules:
 1. Without a list every host may be called that config.yaml, policy.yaml or an identity provider's document names.
 2. This machine's loopback may always be called; no proxy stands between.
 3. With a list, a host and port that do not stand in it are refused, whoever names them: so an issuer in policy.yaml,
    or an address in a provider's document, opens no way into the network (CWE-918). Letters' case, one final dot and
    brackets do not matter; a name never stands for its address, nor an address for its name.
 4. A way through a proxy is for https alone: in clear the proxy would read what passes, and no other protocol asks it.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from policies.addresses.host_names import one_spelling, read_host_names
from policies.addresses.networks import is_loopback_host

_PROXY = re.compile(r"http://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")


class NotNamed(ValueError):
    """The host is not to be called; the text says what to change, for an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressHost:
    """One host that Corral itself may call.

    `host` is its name or address, as it is called; `*` stands for nothing. `port` is where. `ca_file` is a PEM bundle
    for it, relative to the home, where whatever calls it names none of its own. `proxy` is the HTTP proxy that leads to
    it, such as `http://proxy.example:3128`: it is asked for a tunnel (CONNECT), in which TLS reaches the host itself.
    `proxy_login_file` is a file with user:password for the proxy, relative to the home, open to its owner alone.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    host: str
    port: int = 443
    ca_file: str | None = None
    proxy: str | None = None
    proxy_login_file: str | None = None

    def __post_init__(self) -> None:
        if "*" in self.host:
            raise ValueError("host must be one name or address: each host is named by itself")
        read_host_names((self.host,))
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        found = _PROXY.fullmatch(self.proxy) if self.proxy is not None else None
        if self.proxy is not None and (found is None or not 0 < int(found[2]) < 65536):
            raise ValueError("proxy must be http://host:port, without user or path, such as http://proxy.example:3128")
        if self.proxy_login_file is not None and self.proxy is None:
            raise ValueError("proxy_login_file is for a proxy: name that too")

    @property
    def place(self) -> tuple[str, int]:
        """Host and port in the one spelling that is compared."""
        return (one_spelling(self.host), self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The hosts that Corral itself may call: upstreams, issuers, witnesses, anchors, the store, the console's provider.

    `hosts` are all of them; whatever else config.yaml names is a fault of it, a policy that names another is refused,
    and so is a call. null lets every host be called that the two files name.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    hosts: tuple[EgressHost, ...] | None = None

    def __post_init__(self) -> None:
        seen = set()
        for each in self.hosts or ():
            if each.place in seen:
                raise ValueError(f"hosts name {each.host} with port {each.port} twice")
            seen.add(each.place)

    def way(self, scheme: str, host: str, port: int) -> EgressHost | None:
        """How to call `host` by `scheme`: https, http, syslog+tls, rediss or redis. None: straight. Raises NotNamed."""
        place = (one_spelling(host), port)
        if self.hosts is None or is_loopback_host(place[0]):
            return None
        for each in self.hosts:
            if each.place == place:
                if each.proxy is not None and scheme != "https":
                    raise NotNamed(f"calls {host}:{port} by {scheme}, but its proxy under egress.hosts is for https")
                return each
        raise NotNamed(f"calls {host}:{port}, which is not under egress.hosts of config.yaml: add it there")


ANYWHERE = Egress()
"""Without a list."""
