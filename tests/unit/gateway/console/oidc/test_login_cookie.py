"""The cookie of a sign-in under way: what a browser must be told about it."""

import pytest

from gateway.console.oidc.login_cookie import FORGET_COOKIE, NAME, set_cookie


@pytest.mark.parametrize("cookie", [set_cookie("x" * 43), FORGET_COOKIE])
def test_it_belongs_to_this_host_and_no_script(cookie: str) -> None:
    first, *terms = cookie.split("; ")
    assert first.startswith(f"{NAME}=")
    assert NAME.startswith("__Host-")
    assert set(terms) >= {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    assert not any(term.startswith("Domain") for term in terms)


def test_it_lives_as_long_as_the_sign_in() -> None:
    assert set_cookie("x").endswith("; Max-Age=600")
    assert FORGET_COOKIE.endswith("; Max-Age=0")
