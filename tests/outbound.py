"""Outbound clients without a list of hosts, as gateways have them by default."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.outbound_clients import OutboundClients
from gateway.tokens.key_set_fetch import KeySetFetch, open_fetch
from policies.addresses.egress import ANYWHERE
from policies.tokens.issuer import Issuer

ANY_HOST = OutboundClients(ANYWHERE, Path("/"))


def fetches(home: Path) -> Callable[[Issuer], KeySetFetch]:
    """Opens the fetch of an issuer whose files lie in `home`."""
    return partial(open_fetch, home=home, clients=OutboundClients(ANYWHERE, home))
