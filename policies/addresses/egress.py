"""May Corral itself call this host, and by which way? The machine's file decides, never the environment.

Rules:
 1. Without a list every host may be called that config.yaml, policy.yaml or an identity provider's document names. A
    list that was left empty by mistake is a fault or names nobody.
 2. This machine's loopback may always be called, has no entry and no proxy. `localhost.` is a name for a resolver.
 3. With a list, a host and port that do not stand in it are refused, whoever names them: so an issuer in policy.yaml,
    or an address in a provider's document, opens no way into the network (CWE-918). Letters' case, one final dot and
    brackets do not matter; a name never stands for its address, nor an address for its name.
 4. A way through a proxy is for https alone: in clear the proxy would read what passes, and no other protocol asks it.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from policies.addresses.host_names import is_host, one_spelling
from policies.addresses.networks import is_loopback_host

_PROXY = re.compile(r"http://([^/@:\[\]\s]+|\[[^/@\[\]\s]+\]):([0-9]{1,5})")


class NotNamed(ValueError):
    """The host is not to be called; the text says what to change, for an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressHost:
    """One host that Corral itself may call.

    `host` is its name or address, as it is called; `*` stands for nothing. `port` is where. `ca_file` is a PEM bundle
    for it, relative to the home, where whatever calls it names none of its own (the store must). `proxy` is the HTTP
    proxy that leads to it, such as `http://proxy.example:3128`: it is asked for a tunnel (CONNECT), in which TLS
    reaches the host itself. `proxy_login_file` is a file with user:password for the proxy, relative to the home, open
    to its owner alone.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    host: str
    port: int = 443
    ca_file: str | None = None
    proxy: str | None = None
    proxy_login_file: str | None = None

    def __post_init__(self) -> None:
        if not is_host(self.host):
            raise ValueError("host must be one name or address, without scheme, port or '*': each is named by itself")
        if is_loopback_host(one_spelling(self.host)):
            raise ValueError("host must be beyond this machine: its loopback may be called without an entry")
        if not 0 < self.port < 65536:
            raise ValueError("port must be 1 to 65535")
        found = _PROXY.fullmatch(self.proxy) if self.proxy is not None else None
        if self.proxy is not None and (found is None or not is_host(found[1]) or not 0 < int(found[2]) < 65536):
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
    and so is a call. Without `egress` every host that the two files name may be called.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    hosts: tuple[EgressHost, ...]

    def __post_init__(self) -> None:
        seen = set()
        for each in self.hosts:
            if each.place in seen:
                raise ValueError(f"hosts name {each.host} with port {each.port} twice")
            seen.add(each.place)

    @property
    def bounds(self) -> bool:
        """Whether there is a list at all."""
        return True

    def may_call(self, host: str) -> bool:
        """Whether `host` may be called at some port: for what names hosts alone."""
        return self._is_free(host) or any(each.place[0] == one_spelling(host) for each in self.hosts)

    def way(self, scheme: str, host: str, port: int) -> EgressHost | None:
        """How to call `host` by `scheme`: https, http, syslog+tls, rediss or redis. None: straight. Raises NotNamed."""
        if self._is_free(host):
            return None
        found = self.entry(host, port)
        if found is None:
            raise NotNamed(f"calls {_shown(host, port)}, which is not under egress.hosts of config.yaml: add it there")
        if found.proxy is not None and scheme != "https":
            raise NotNamed(
                f"calls {_shown(host, port)} by {scheme}, but its proxy under egress.hosts is for https alone: "
                "call it by https, or leave out the proxy"
            )
        return found

    def entry(self, host: str, port: int) -> EgressHost | None:
        """What the list says of `host`; None where it says nothing."""
        place = (one_spelling(host), port)
        return next((each for each in self.hosts if each.place == place), None)

    def _is_free(self, host: str) -> bool:
        return not self.bounds or is_loopback_host(host.removeprefix("[").removesuffix("]"))


class Anywhere(Egress):
    """Without a list (rule 1). No file can say so but by saying nothing."""

    __slots__ = ()

    @property
    def bounds(self) -> bool:
        """See Egress."""
        return False


ANYWHERE = Anywhere(hosts=())


def _shown(host: str, port: int) -> str:
    host = one_spelling(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
