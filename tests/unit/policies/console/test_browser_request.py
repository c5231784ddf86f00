"""Requests of a browser: own pages, whole pages, and nothing that another site can make."""

import pytest

from policies.console.browser_request import (
    MAX_COOKIE_BYTES,
    header,
    own_origin,
    read_cookies,
    require_own_page,
    require_token,
)
from policies.errors import BadRequest, OriginNotAllowed

OWN = "https://console.example:8445"


def headers(**values: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in values.items())


def reason(method: str, **values: str) -> str:
    try:
        require_own_page(method, headers(**values), OWN)
    except OriginNotAllowed as refused:
        return refused.reason
    return ""


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("console.example:8445", OWN),
        ("Console.Example:443", "https://console.example"),
        ("[::1]:8445", "https://[::1]:8445"),
    ],
)
def test_our_origin_is_spelt_as_a_browser_spells_it(host, origin):
    assert own_origin(host) == origin


@pytest.mark.parametrize(
    "origin",
    ["null", "https://console.example", "http://console.example:8445", "https://evil.example", OWN.upper(), f"{OWN}/"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused_for_reads_too(method, origin):
    assert reason(method, Origin=origin) == "origin_not_own"


def test_a_change_needs_an_origin_and_a_read_does_not():
    assert reason("POST") == "origin_missing"
    assert reason("DELETE", Sec_Fetch_Site="same-origin") == "origin_missing"
    assert reason("POST", Origin=OWN) == ""
    assert reason("GET") == ""


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none", "odd"])
def test_a_change_comes_from_our_own_pages_alone(site):
    assert reason("POST", Origin=OWN, Sec_Fetch_Site=site) == "fetch_site_foreign"
    assert (
        reason("POST", Origin=OWN, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")
        == "fetch_site_foreign"
    )


def test_a_read_may_be_typed_or_follow_a_link_as_a_whole_page():
    assert reason("GET", Sec_Fetch_Site="none") == ""
    assert reason("GET", Sec_Fetch_Site="same-origin", Sec_Fetch_Dest="empty") == ""
    assert reason("GET", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document") == ""


@pytest.mark.parametrize(
    ("mode", "dest"), [("navigate", "iframe"), ("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("", "")]
)
def test_no_part_of_another_sites_page_reads_ours(mode, dest):
    assert reason("GET", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest) == "fetch_site_foreign"


def test_cookies_are_read_by_name_and_one_that_stands_twice_is_none():
    assert read_cookies(headers(Cookie="a=1; b=2; a=3; junk; c=x=y")) == {"b": "2", "c": "x=y"}
    assert read_cookies(headers()) == {}
    assert read_cookies(headers(Cookie="a=" + "x" * MAX_COOKIE_BYTES)) == {}


def test_a_header_is_found_by_its_lower_case_name():
    assert header(headers(Accept_Language="zh"), b"accept-language") == "zh"
    assert header((), b"host") == ""


@pytest.mark.parametrize(("shown", "expected"), [("", ""), ("x", ""), ("", "x"), ("y", "x"), ("ü", "x")])
def test_a_wrong_token_is_refused(shown, expected):
    with pytest.raises(BadRequest) as refused:
        require_token(shown, expected)
    assert refused.value.reason == "csrf_token_wrong"


def test_the_right_token_passes():
    require_token("x", "x")
