import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.tokens.issuer_url import IssuerUrl, read_issuer_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://id.example", IssuerUrl("https", "id.example", 443, "")),
        ("https://ID.Example/a/b", IssuerUrl("https", "id.example", 443, "/a/b")),
        ("https://id.example:8443/keys", IssuerUrl("https", "id.example", 8443, "/keys")),
        ("http://127.0.0.1:9/x", IssuerUrl("http", "127.0.0.1", 9, "/x")),
        ("http://[::1]:9/x", IssuerUrl("http", "[::1]", 9, "/x")),
        ("http://localhost/", IssuerUrl("http", "localhost", 80, "/")),
        ("https://" + "a" * 63 + ".example./", IssuerUrl("https", "a" * 63 + ".example.", 443, "/")),
        ("https://10.0.0.7/.well-known/openid-configuration",
         IssuerUrl("https", "10.0.0.7", 443, "/.well-known/openid-configuration")),
    ],
)  # fmt: skip
def test_addresses(text: str, url: IssuerUrl) -> None:
    assert read_issuer_url(text) == url


def test_origin() -> None:
    assert read_issuer_url("https://id.example/a").origin == "https://id.example:443"


@pytest.mark.parametrize(
    "text",
    [
        "", "id.example", "ftp://id.example", "file:///etc/passwd", "//id.example", "https://", "https:///keys",
        "https://u@id.example/", "https://u:p@id.example/", "https://id.example/?q", "https://id.example/#f",
        "https://id.example\\@evil/", "https://id.example/ a", "https://id.example/\n", "\thttps://id.example",
        "https://id.example/../x", "https://id.example/./x", "https://id.example/..", "https://id.example:0/",
        "https://id.example:99999/", "https://id.example:x/", "https://ид.example/", "https://id.example" + "/a" * 600,
        "http://id.example/", "http://10.0.0.7/", "http://[2001:db8::1]/", "https://id..example/", "https://.example/",
        "https://" + "a" * 64 + ".example/",
    ],
)  # fmt: skip
def test_what_is_no_address_to_fetch_keys_from(text: str) -> None:
    with pytest.raises(ValueError, match=r"https|port"):
        read_issuer_url(text)


@given(st.text())
def test_any_text_is_an_address_or_a_fault(text: str) -> None:
    try:
        url = read_issuer_url(text)
    except ValueError:
        return
    assert url.host
