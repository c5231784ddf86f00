"""Invariant: what a browser sends is read in one way or refused, and no other origin changes anything."""

from gateway.console.forms import FORM_TYPE, read_form, read_query
from gateway.console.words import LANGUAGES, chosen_language
from policies.console.browser_request import header, read_cookies, require_own_page
from policies.console.plain_text import plain
from policies.errors import BadRequest, OriginNotAllowed

OWN = "https://console.example:8445"
SEEDS = (
    b"POST a=1&b=%E4%BD%A0\nOrigin: https://console.example:8445\nCookie: __Host-corral=x; a=b\nSec-Fetch-Site: none",
    b"GET q=a%20b&lang=zh\nAccept-Language: zh-CN,zh;q=0.9,en;q=0.8\nSec-Fetch-Site: none",
    b"GET \nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document",
    b"POST csrf=0\nOrigin: null\nSec-Fetch-Dest: iframe",
)


def one(data: bytes) -> None:
    """Check one request: method and query, then `name: value` lines."""
    first, *lines = data.split(b"\n")
    method, _, text = first.decode("latin-1").partition(" ")
    headers = tuple((name, value.strip(b" ")) for name, _, value in (line.partition(b":") for line in lines))
    _check_own_page(method, headers)
    _check_fields(text)
    cookies = read_cookies(headers)
    assert all(";" not in name + value for name, value in cookies.items())
    assert chosen_language(text, "", header(headers, b"accept-language")) in LANGUAGES
    shown = plain(text)
    assert plain(shown) == shown
    assert not set("\x1b\x00\r\u202e") & set(shown)


def _check_own_page(method: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    try:
        require_own_page(method, headers, OWN)
    except OriginNotAllowed:
        return
    origin = header(headers, b"origin")
    assert origin == OWN or (method == "GET" and not origin)
    if header(headers, b"sec-fetch-site") not in {"", "same-origin", "none"}:
        assert method == "GET"
        assert header(headers, b"sec-fetch-dest") == "document"


def _check_fields(text: str) -> None:
    try:
        fields = read_query(text)
    except BadRequest:
        return
    assert len(fields) <= text.count("&") + 1
    if text.isascii():
        assert read_form(FORM_TYPE, text.encode()) == fields
