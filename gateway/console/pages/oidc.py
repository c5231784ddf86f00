"""Sign-in through an OpenID Connect provider: what `console.oidc` of config.yaml adds to the console."""

from gateway.console.oidc.provider_sign_in import BEGIN, CALLBACK, LEAVE, SIGNED_OUT, ProviderSignIn
from gateway.console.page import OpenRoute
from gateway.console.sign_in import Offer, SignIn
from gateway.console.world import World


def open_routes(world: World, sign_in: SignIn) -> tuple[OpenRoute, ...]:
    """The part's pages, which need no session; none without a provider."""
    if world.oidc is None:
        return ()
    parts = world.oidc
    provider = ProviderSignIn(
        client=parts.client,
        link=parts.link,
        logins=parts.logins,
        sign_in=sign_in,
        guessing=world.gate.identity.guessing,
        clock=world.clock,
    )
    sign_in.offers.append(Offer(BEGIN, "oidc.offer"))
    sign_in.leaving.append(provider.leaving)
    return (
        OpenRoute(method="POST", path=BEGIN, answer=provider.begin),
        OpenRoute(method="GET", path=CALLBACK, answer=provider.finish),
        OpenRoute(method="GET", path=LEAVE, answer=provider.leave),
        OpenRoute(method="GET", path=SIGNED_OUT, answer=provider.signed_out),
    )
