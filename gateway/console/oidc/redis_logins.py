"""Sign-ins under way of several gateways, in the Redis they share: the browser may come back to another of them.

What lies there is no secret (`policies.console.oidc_login`): who can read it cannot finish a sign-in, and who can write
there can end one but not make one that a browser without its cookie could come back to.
"""

from importlib.resources import files
from typing import Any

from gateway.limits.redis_link import Part, RedisAway, RedisLink, Script
from policies.addresses.networks import Network
from policies.console.oidc_login import LOGIN_S, Pending
from policies.console.oidc_pending import MAX_LOGINS, MAX_OF_NETWORK
from policies.errors import PolicyUnavailable

KEYS = ("{corral}:console:logins", "{corral}:console:logins:order")


class RedisLogins:
    """See `gateway.console.oidc.login_store.LoginStore`. `link` is owned from here on."""

    def __init__(self, link: RedisLink, max_logins: int = MAX_LOGINS, max_of_network: int = MAX_OF_NETWORK) -> None:
        self._link = link
        self._bounds = (max_logins, max_of_network)
        self._script = Script(files(__package__).joinpath("logins.lua").read_text("ascii"))

    async def put(self, place: str, pending: Pending, network: Network) -> None:
        """See LoginStore."""
        row = (str(network), repr(pending.begun_s), pending.redirect_uri)
        await self._do("put", place, *row, repr(LOGIN_S), *self._bounds)

    async def take(self, place: str) -> Pending | None:
        """See LoginStore. What nobody of ours wrote there counts as not there."""
        found = await self._do("take", place)
        try:
            _network, begun_s, redirect_uri = bytes(found[0]).decode("ascii").split(" ")
            return Pending(redirect_uri=redirect_uri, begun_s=float(begun_s))
        except (IndexError, ValueError):
            return None

    async def close(self) -> None:
        """See LoginStore."""
        await self._link.close()

    async def _do(self, act: str, *arguments: Part) -> list[Any]:
        try:
            return await self._link.run(self._script, KEYS, (act, *arguments))
        except RedisAway as away:
            raise PolicyUnavailable(f"login_store_{away.reason}") from away
