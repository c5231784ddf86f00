"""The cookie that binds a sign-in under way to the browser that began it.

It is SameSite=Lax, unlike the session's: the browser comes back from another site, and a Strict cookie would stay
behind. Lax sends it with that one navigation and with nothing that another site's page fetches or posts. The prefix
`__Host-` keeps every other host, subdomains included, from planting one (RFC 6265bis section 4.1.3.2).
"""

from policies.console.oidc_login import LOGIN_S

NAME = "__Host-corral-oidc"
_TERMS = "Path=/; Secure; HttpOnly; SameSite=Lax"


def set_cookie(browser: str) -> str:
    """The whole Set-Cookie value that gives the browser its secret."""
    return f"{NAME}={browser}; {_TERMS}; Max-Age={LOGIN_S:.0f}"


FORGET_COOKIE = f"{NAME}=; {_TERMS}; Max-Age=0"
"""The whole Set-Cookie value that takes it back: a sign-in is tried once."""
