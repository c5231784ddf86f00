"""Which servers may be a way past the gateway, and so are asked. Decides only; `asking` asks.

Rules:
 1. On this host: every socket that is bound beyond loopback, on a port where model servers usually listen or that
    an upstream of the configuration has. It is asked over loopback; one bound to an address of its own over that,
    which does not leave the host either (`asking` makes sure that the address is this machine's).
 2. Elsewhere: every upstream of the configuration.
 3. Our own listeners are never asked, nor an upstream that is declared `network_isolated`.
 4. An upstream on this host that is bound to loopback alone is no suspect: that is how it should be.
Nothing else is contacted.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.backdoor.engine_kinds import PORTS, Kind
from gateway.backdoor.listening_sockets import Listening
from gateway.configuration.settings import UpstreamSettings
from policies.addresses.networks import is_loopback_host

LOOPBACKS = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "[::1]")}  # noqa: S104  # what is asked, not bound

SCHEMES = ("https", "http")
"""TLS first: a server of it answers plain HTTP too, with a 400 that says nothing of who may use it."""


class Suspect(Struct, frozen=True, kw_only=True):
    """One server to ask.

    `address` is where it is bound, or the host by which the configuration names it; `urls` are asked in order until
    one answers. `kind` is certain where the configuration says it. `upstreams` are those that lead to it.
    """

    address: str
    port: int
    here: bool
    kind: Kind
    certain: bool
    urls: tuple[str, ...]
    upstreams: tuple[str, ...] = ()
    ca_file: str | None = None


def find_suspects(
    listening: Iterable[Listening], own: Iterable[Listening], upstreams: Sequence[UpstreamSettings]
) -> tuple[Suspect, ...]:
    """Whom to ask. `own` are the sockets of this gateway's listeners."""
    local = [each for each in upstreams if is_here(each)]
    guarded = {_port(each) for each in local if not each.network_isolated}
    ports = (set(PORTS) - {_port(each) for each in local}) | guarded
    strangers = sorted(set(listening) - set(own))
    here = [_here(each, local) for each in strangers if each.port in ports and each.beyond_loopback]
    elsewhere = [_elsewhere(each) for each in upstreams if not is_here(each) and not each.network_isolated]
    return (*here, *elsewhere)


def _here(socket: Listening, upstreams: Sequence[UpstreamSettings]) -> Suspect:
    leading = [each for each in upstreams if _port(each) == socket.port]
    own_host = f"[{socket.address}]" if ":" in socket.address else socket.address
    hosts = LOOPBACKS.get(socket.address, (own_host,))
    return Suspect(
        address=socket.address,
        port=socket.port,
        here=True,
        kind=leading[0].kind if leading else PORTS[socket.port],
        certain=False,
        urls=tuple(f"{scheme}://{host}:{socket.port}" for scheme in SCHEMES for host in hosts),
        upstreams=tuple(each.name for each in leading),
    )


def _elsewhere(upstream: UpstreamSettings) -> Suspect:
    return Suspect(
        address=urlsplit(upstream.url).hostname or "",
        port=_port(upstream),
        here=False,
        kind=upstream.kind,
        certain=True,
        urls=(upstream.url,),
        upstreams=(upstream.name,),
        ca_file=upstream.ca_file,
    )


def is_here(upstream: UpstreamSettings) -> bool:
    """Whether the upstream is named by a loopback address. By another name of this host it is asked as any other."""
    return is_loopback_host(urlsplit(upstream.url).hostname or "")


def _port(upstream: UpstreamSettings) -> int:
    url = urlsplit(upstream.url)
    return url.port or (443 if url.scheme == "https" else 80)
