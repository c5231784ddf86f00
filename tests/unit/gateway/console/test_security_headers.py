"""The headers of every answer."""

import pytest

from gateway.console.security_headers import security_headers


def policy(*targets: str) -> dict[str, str]:
    text = dict(security_headers(targets))["Content-Security-Policy"]
    return {name: rest for name, _, rest in (each.strip().partition(" ") for each in text.split(";"))}


def test_everything_comes_from_here_and_nothing_is_inline():
    directives = policy()
    assert directives["default-src"] == "'none'"
    assert {directives[f"{kind}-src"] for kind in ("script", "style", "font", "connect")} == {"'self'"}
    assert directives["img-src"] == "'self' data:"
    assert (directives["base-uri"], directives["frame-ancestors"], directives["form-action"]) == (
        "'none'",
        "'none'",
        "'self'",
    )
    assert "unsafe" not in str(directives)


def test_a_form_may_end_at_the_provider_too():
    assert policy("https://id.example:8443")["form-action"] == "'self' https://id.example:8443"


@pytest.mark.parametrize(
    "target", ["http://id.example", "https://a; script-src *", "https://a b", "*", "", "https://a/path"]
)
def test_a_target_that_would_write_another_policy_is_refused(target):
    with pytest.raises(ValueError, match="https origin"):
        security_headers((target,))


def test_no_other_site_reads_frames_or_opens_a_page():
    headers = dict(security_headers())
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert not [name for name in headers if name.lower().startswith("access-control")]
