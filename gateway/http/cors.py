"""What a browser is told so that a page of an allowed origin can use the API (Fetch standard, CORS protocol).

The origin was found allowed at step 0 (`policies.addresses.web_origin`). A preflight carries no credential, so it is
answered without one, after the network lists; it tells which methods a path has, and to allowed origins only.
`Access-Control-Allow-Credentials` is never sent: keys travel in headers that the page itself sets.
"""

from gateway.dialects.contract import Answer
from gateway.incoming import Header
from gateway.routes import Match

_REQUEST_METHOD = b"access-control-request-method"
# What the official clients set from within a browser.
_ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, X-Api-Key, X-Request-Id, Anthropic-Version, Anthropic-Beta, OpenAI-Beta, "
    "OpenAI-Organization, OpenAI-Project, X-Stainless-Arch, X-Stainless-Async, X-Stainless-Helper-Method, "
    "X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Retry-Count, X-Stainless-Runtime, "
    "X-Stainless-Runtime-Version, X-Stainless-Timeout, "
    # What a page may ask of the queue.
    "X-SLO-TTFT-Ms, X-Deadline-Ms, X-Priority, X-Queue-Events"
)
_EXPOSED_HEADERS = (
    "Retry-After, Retry-After-Ms, X-Request-Id, X-Admission-Decision, X-Admission-Reason, X-Queue-Predicted-Wait-Ms, "
    "X-Queue-Predicted-Wait-P90-Ms, X-Queue-Position, X-Queue-Wait-Ms, X-Should-Retry, X-RateLimit-Limit-Requests, "
    "X-RateLimit-Remaining-Requests, X-RateLimit-Reset-Requests, X-RateLimit-Limit-Tokens, "
    "X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Tokens"
)
# An origin taken off the list is refused at once, whatever a browser remembers of a preflight.
_MAX_AGE_S = 600


def origin_headers(origin: str) -> tuple[tuple[str, str], ...]:
    """What each answer to `origin` carries; nothing for a request without one."""
    if not origin:
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", _EXPOSED_HEADERS),
        ("Vary", "Origin"),
    )


def preflight(method: str, headers: tuple[Header, ...], origin: str, match: Match) -> Answer | None:
    """The answer to a preflight for a path that there is; None for any other request."""
    asks = any(name.lower() == _REQUEST_METHOD for name, _ in headers)
    if method != "OPTIONS" or not origin or not asks or not match.allowed:
        return None
    return Answer(
        status=204,
        body=b"",
        content_type="text/plain",
        headers=(
            ("Access-Control-Allow-Methods", ", ".join(match.allowed)),
            ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
            ("Access-Control-Max-Age", str(_MAX_AGE_S)),
        ),
    )
