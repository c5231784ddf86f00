"""Invariant: an origin passes only when it is listed letter for letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses.web_origin import read_origins, require_origin
from policies.errors import OriginNotAllowed

LISTED = (
    "https://chat.example",
    "http://localhost:3000",
    "app://obsidian.md",
    "http://[::1]:8080",
    "https://a.example:8443",
)
ALLOWED = read_origins(LISTED)


@pytest.mark.parametrize("origin", LISTED)
def test_a_listed_origin_passes(origin: str) -> None:
    assert require_origin(ALLOWED, ((b"Host", b"x"), (b"oRiGiN", origin.encode()))) == origin


@pytest.mark.parametrize(
    "origin",
    ["null", "*", "", "https://chat.example:443", "https://chat.example/", "http://chat.example",
     "https://CHAT.example", "https://chat.example.",
     "https://chat.example.evil", "https://xchat.example", "https://evil", "https://localhost",
     "https://chat.example, null", "\xff"],
)  # fmt: skip
def test_any_other_is_refused(origin: str) -> None:
    with pytest.raises(OriginNotAllowed) as refused:
        require_origin(ALLOWED, ((b"Origin", origin.encode("latin-1")),))
    assert (refused.value.status, refused.value.reason) == (403, "origin_not_allowed")


def test_none_is_no_origin_and_by_default_all_are_refused() -> None:
    assert require_origin(frozenset(), ((b"Host", b"x"),)) == ""
    with pytest.raises(OriginNotAllowed):
        require_origin(frozenset(), ((b"Origin", b"https://chat.example"),))


@given(st.text(max_size=20))
def test_only_listed_text_passes(origin: str) -> None:
    try:
        passed = require_origin(ALLOWED, ((b"Origin", origin.encode("utf-8")),))
    except OriginNotAllowed:
        return
    assert passed in LISTED


@pytest.mark.parametrize(
    "text",
    ["*", "null", "", "chat.example", "https://", "https://chat.example/", "https://Chat.example", "https://*.example", "http://a:80",
     "https://a:443", "https://a@b", "https://a#b", "https://a:port"],
)  # fmt: skip
def test_what_no_list_holds(text: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        read_origins((text,))
