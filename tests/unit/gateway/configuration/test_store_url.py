"""Invariant: a store's address is a socket's whole path or a host, with nothing else inside."""

import pytest

from gateway.configuration.store_url import StoreUrl, read_store_url


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("redis+unix:///run/redis/corral.sock", StoreUrl(path="/run/redis/corral.sock")),
        ("redis+unix:///run/a%20b.sock?db=3", StoreUrl(path="/run/a b.sock", db=3)),
        ("rediss://redis.example", StoreUrl(host="redis.example", tls=True)),
        ("rediss://[::1]:7000/15", StoreUrl(host="::1", port=7000, db=15, tls=True)),
        ("redis://127.0.0.1:6380/", StoreUrl(host="127.0.0.1", port=6380)),
    ],
)
def test_addresses(text: str, found: StoreUrl) -> None:
    assert read_store_url(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/run/redis.sock",
        "http://redis.example",
        "rediss://redis.example:0",
        "redis+unix://run/redis.sock",
        "redis+unix:///",
        "redis+unix:///run/",
        "redis+unix:///run/r.sock?db=16",
        "redis+unix:///run/r.sock?db=-1",
        "redis+unix:///run/r.sock?db",
        "redis+unix:///run/r.sock?db=1&db=2",
        "redis+unix:///run/r.sock?password=x",
        "redis+unix:///run/r.sock#x",
        "rediss://user:secret@redis.example",
        "rediss://:secret@redis.example",
        "rediss://",
        "rediss://redis.example:70000",
        "rediss://redis.example:x",
        "rediss://redis.example/x",
        "rediss://redis.example/1?ssl_cert_reqs=none",
        "rediss://redis.exa mple",
        "rediss://redis.example\n",
        "rediss://r\u00e9dis.example",
        "rediss://[::1",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_store_url(text)
