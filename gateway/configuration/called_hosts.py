"""Every host that the two files name for Corral itself to call, where in the file, and what for.

What an identity provider's document adds to them is known only when it is read; `gateway.outbound_clients` judges that.
"""

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from gateway.configuration.settings import Config
from gateway.configuration.store_url import DEFAULT_PORT
from gateway.configuration.yaml_tree import Misfit, Path
from policies.addresses.egress import Egress, NotNamed
from policies.policy import Policy

UNIX = "redis+unix:"
PORTS = {"https": 443, "http": 80, "rediss": DEFAULT_PORT, "redis": DEFAULT_PORT}


class Called(Struct, frozen=True):
    """One address that is called: its place in the file, what it is for, and itself as a URL. With `any_port` it is a
    host, of which the port is known only when an identity provider's document names it.
    """

    path: Path
    what: str
    url: str
    any_port: bool = False


def called_by_config(config: Config) -> Iterator[Called]:
    """Those of config.yaml."""
    for index, upstream in enumerate(config.upstreams):
        yield Called(("upstreams", index, "url"), f"upstream {upstream.name}", upstream.url)
    for index, witness in enumerate(config.audit.witnesses):
        yield Called(("audit", "witnesses", index, "url"), "witness", witness.url)
    for index, anchor in enumerate(config.audit.anchors):
        if anchor.http is not None:
            yield Called(("audit", "anchors", index, "http"), "anchor", anchor.http)
        if anchor.syslog is not None:
            yield Called(("audit", "anchors", index, "syslog"), "anchor", f"syslog+tls://{anchor.syslog}")
    if config.store is not None:
        yield Called(("store", "url"), "store", config.store.url)
    if config.console.enabled and config.console.oidc is not None:
        oidc = config.console.oidc
        yield Called(("console", "oidc", "issuer"), "console sign-in", oidc.issuer)
        for index, host in enumerate(oidc.hosts):
            yield Called(("console", "oidc", "hosts", index), "console sign-in", f"https://{host}", any_port=True)


def called_by_policy(policy: Policy) -> Iterator[Called]:
    """Those of policy.yaml: its issuers' keys."""
    for name, issuer in policy.issuers.items():
        path, what = ("issuers", name), f"issuer {name}"
        if issuer.jwks_url is not None:
            yield Called((*path, "jwks_url"), what, issuer.jwks_url)
        if issuer.discovery:
            yield Called(path, what, issuer.discovery_url or issuer.issuer)
            for index, host in enumerate(issuer.jwks_hosts):
                yield Called((*path, "jwks_hosts", index), what, f"https://{host}", any_port=True)


def uncalled(egress: Egress, called: Iterator[Called]) -> Iterator[Misfit]:
    """A misfit for each that `egress` does not let be called, or that cannot be judged; a Unix socket is no host."""
    if not egress.bounds:
        return
    for each in called:
        if each.url.startswith(UNIX):
            continue
        if text := _fault(egress, each):
            yield Misfit(each.path, text)


def _fault(egress: Egress, called: Called) -> str:
    place = called_place(called.url)
    if place is None:
        return "is no address that can be called: write it in ASCII, as scheme, host and port"
    if called.any_port and egress.may_call(place[1]):
        return ""
    try:
        egress.way(*place)
    except NotNamed as fault:
        return str(fault)
    return ""


def called_place(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL; None for what is none, or leads to no host (a Unix socket)."""
    url = split_url(text)
    if url is None or not url.hostname:
        return None
    return url.scheme, url.hostname, url.port if url.port is not None else PORTS.get(url.scheme, 0)


def split_url(text: str) -> SplitResult | None:
    """The parts of a URL; None for what is none, spaces, control characters and wild ports included."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url
