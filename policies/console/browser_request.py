"""Is this request one that a page of our own, or a person, made in a browser? Decides on its headers alone.

The cookie is `__Host-` and SameSite=Strict already; these rules hold where a browser's treatment of cookies fails.
 (1) A name of a cookie that stands twice counts as not sent: a page of a sibling host may have added one (cookie
     tossing; the prefix `__Host-` keeps them out, RFC 6265bis section 4.1.3.2).
 (2) An Origin must be our own, to the letter, wherever one is sent; a request that changes something must send one.
 (3) Sec-Fetch-Site, where it is sent (W3C Fetch Metadata): `same-origin` for what changes something; a read may be from
     the address bar (`none`) or follow a link from elsewhere, as a whole page in the browser's window and not as a
     part of another site's page (XS-Leaks: image, script, frame, fetch).
 (4) The form's token is that of the session, compared in constant time (OWASP CSRF cheat sheet, synchronizer token).
"""

import hmac
from collections.abc import Iterable

from policies.errors import BadRequest, OriginNotAllowed

Header = tuple[bytes, bytes]

MAX_COOKIE_BYTES = 8 * 1024
"""A browser keeps 4 KiB for each; ours are short."""


def header(headers: Iterable[Header], name: bytes) -> str:
    """The first header called `name` (lower case), "" without one."""
    return next((value.decode("latin-1") for each, value in headers if each.lower() == name), "")


def read_cookies(headers: Iterable[Header]) -> dict[str, str]:
    """The request's cookies by name. Rule (1)."""
    text = header(headers, b"cookie")
    if len(text) > MAX_COOKIE_BYTES:
        return {}
    cookies: dict[str, str] = {}
    twice = set()
    for pair in text.split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals:
            twice |= {name} & cookies.keys()
            cookies[name] = value
    return {name: value for name, value in cookies.items() if name not in twice}


def own_origin(host: str) -> str:
    """Our origin as a browser spells it, for a Host that was found to be ours."""
    return f"https://{host.lower().removesuffix(':443')}"


def require_own_page(method: str, headers: tuple[Header, ...], own: str) -> None:
    """Raises OriginNotAllowed by the rules (2) and (3)."""
    origin = header(headers, b"origin")
    if (origin or method != "GET") and origin != own:
        raise OriginNotAllowed("origin_not_own" if origin else "origin_missing")
    site = header(headers, b"sec-fetch-site")
    if site in {"", "same-origin"} or (site == "none" and method == "GET"):
        return
    whole_page = (header(headers, b"sec-fetch-mode"), header(headers, b"sec-fetch-dest")) == ("navigate", "document")
    if method != "GET" or not whole_page:
        raise OriginNotAllowed("fetch_site_foreign")


def require_token(shown: str, expected: str) -> None:
    """Rule (4). Raises BadRequest; an empty token fits nothing."""
    if not expected or not hmac.compare_digest(shown.encode(), expected.encode()):
        raise BadRequest("csrf_token_wrong", "the form is not one of this session's pages")
