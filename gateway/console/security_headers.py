"""The headers of every answer of the console: what a browser may do with a page, and nothing beyond.

Everything comes from our own origin; no inline script or style, no frame in either direction, no other site's page may
read or embed an answer (OWASP Secure Headers; XS-Leaks wiki). Referrer-Policy is `same-origin` and not `no-referrer`:
under the latter a browser sends `Origin: null` with our own forms (Fetch standard, "append a request Origin header"),
and the check on Origin could no longer tell them from those of a sandboxed frame. Other sites learn no address either
way. Strict-Transport-Security, nosniff and `Cache-Control: no-store` (but for the assets, whose names change with their
content) every listener of ours says anyway: gateway/http/http_reply.py.
"""

import re
from collections.abc import Iterable

from gateway.http.http_reply import IMMUTABLE

Headers = tuple[tuple[str, str], ...]

PERMISSIONS = (
    "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(),"
    " fullscreen=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(),"
    " publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"
)
_FIXED: Headers = (
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", PERMISSIONS),
    ("X-Frame-Options", "DENY"),
)
KEPT = ("Cache-Control", IMMUTABLE)
_ORIGIN = re.compile(r"https://[A-Za-z0-9.\[\]:-]+")


def security_headers(form_targets: Iterable[str] = ()) -> Headers:
    """Those of a page. `form_targets` are origins that a form of ours may end at: the identity provider's.

    Raises ValueError for what is no https origin: a blank or semicolon would write another policy.
    """
    targets = tuple(form_targets)
    if not all(map(_ORIGIN.fullmatch, targets)):
        raise ValueError("a form's target must be an https origin")
    forms = " ".join(("'self'", *targets))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
        f" connect-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )
    return (("Content-Security-Policy", policy), *_FIXED)
