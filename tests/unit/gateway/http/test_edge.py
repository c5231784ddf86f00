"""Invariant: what passes the edge can be read in one way only; what is refused is refused by its own reason."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.edge import CleanTarget, check_edge, demand_identity
from policies.errors import EdgeRejected, EncodingNotSupported

HOST = (b"Host", b"127.0.0.1:8443")


def edge(method="GET", target="/api/tags", headers=(HOST,), version=(1, 1)) -> CleanTarget:
    return check_edge(method, target, headers, version)


def reason(**request) -> str:
    with pytest.raises(EdgeRejected) as refused:
        edge(**request)
    return refused.value.reason


def test_ordinary_requests_pass():
    assert edge(target="/api/tags?a=b/../c&d=%2e") == CleanTarget("/api/tags", "a=b/../c&d=%2e")
    assert edge("POST", "/api/chat", [HOST, (b"Content-Length", b"12"), (b"X-Twice", b"a"), (b"x-twice", b"b")])
    assert edge("POST", "/api/chat", [HOST, (b"Transfer-Encoding", b"Chunked")])
    assert edge("DELETE", "/api/delete", [HOST, (b"Content-Length", b"12")])
    assert edge("GET", "/", [HOST, (b"Content-Length", b"0")])
    assert edge("GET", "/", [], (1, 0)) == CleanTarget("/", "")
    assert edge("GET", "/", [HOST, (b"User-Agent", b"caf\xc3\xa9\tx")])


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0)])
def test_versions(version):
    assert reason(version=version) == "http_version"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods(method):
    assert reason(method=method) == "method_forbidden"


@pytest.mark.parametrize(
    "name", [b"Transfer_Encoding", b"Content_Length", b"X_Forwarded_For", b"x-forwarded_user", b""]
)
def test_header_names(name):
    assert reason(headers=[HOST, (name, b"chunked")]) == "header_name"


@pytest.mark.parametrize("value", [b"a\x00", b"a\rb", b"a\nb", b"\x1b[31m", b"\x7f"])
def test_header_values(value):
    assert reason(headers=[HOST, (b"User-Agent", value)]) == "header_control_character"


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization", b"x-api-key", b"Cookie", b"Content-Length", b"Content-Type", b"Host", b"Expect",
        b"Transfer-Encoding", b"Content-Encoding", b"Proxy-Authorization", b"Origin",
    ],
)  # fmt: skip
def test_deciding_headers_stand_once(name):
    same_twice = [(name, b"1"), (name.upper(), b"1")]
    assert reason(headers=same_twice) == "header_repeated"


def test_host_is_demanded_of_11_only():
    assert reason(headers=[]) == "host_missing"
    assert reason(headers=[(b"Host", b"")], version=(1, 0)) == "host_malformed"


@pytest.mark.parametrize(
    "host", [b"a", b"a.b-c.d:1", b"gate.local.:8443", b"[::1]", b"[fe80::1]:65535", b"my_host", b"10.0.0.1"]
)
def test_hosts_that_pass(host):
    assert edge(headers=[(b"Host", host)])


@pytest.mark.parametrize(
    "host",
    [
        b"", b" ", b"a,b", b"user@a", b"a/path", b"a#b", b"a?b", b"a:b", b"a:", b"a:0", b"a:65536", b"a:1:2", b":80",
        b"localhost:4000/#@x", b"[::1", b"::1", b"[::1]x", b"[12345::]", b"[1.2.3.4]", b"[fe80::1%25eth0]", b"a b",
        b"-a", b"a-", b".a", b"caf\xc3\xa9", b"a\\b", b"a" * 256, b"http://a", b"a:+1", b"%61",
    ],
)  # fmt: skip
def test_hosts_that_do_not(host):
    assert reason(headers=[(b"Host", host)]) == "host_malformed"


@pytest.mark.parametrize("length", [b"", b"+1", b"-1", b"01", b"00", b"0x1", b"1,1", b"1 ", b"1_0", b"9" * 20, b"\xb2"])
def test_content_length_is_canonical(length):
    assert reason(method="POST", headers=[HOST, (b"Content-Length", length)]) == "content_length_malformed"


@pytest.mark.parametrize(
    "coding",
    [
        b"", b"identity", b"gzip, chunked", b"chunked, chunked", b",chunked", b", chunked", b"xchunked", b"chunked;a",
        b"chunked,",
    ],
)  # fmt: skip
def test_transfer_encoding_is_exactly_chunked(coding):
    assert reason(method="POST", headers=[HOST, (b"Transfer-Encoding", coding)]) == "transfer_encoding_malformed"


def test_transfer_encoding_stands_alone_and_not_in_10():
    both = [HOST, (b"Content-Length", b"0"), (b"Transfer-Encoding", b"chunked")]
    assert reason(method="POST", headers=both) == "transfer_encoding_with_content_length"
    only = [HOST, (b"Transfer-Encoding", b"chunked")]
    assert reason(method="POST", headers=only, version=(1, 0)) == "transfer_encoding_in_http10"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("framing", [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")])
def test_no_body_where_none_belongs(method, framing):
    assert reason(method=method, headers=[HOST, framing]) == "body_unexpected"


@pytest.mark.parametrize(
    ("expect", "length"), [(b"y 100-continue", b"1"), (b"200-ok", b"1"), (b"", b"1"), (b"y", b"0")]
)
def test_expectations_that_cannot_be_met_are_417(expect, length):
    with pytest.raises(EdgeRejected) as refused:
        edge("POST", headers=[HOST, (b"Expect", expect), (b"Content-Length", length)])
    assert (refused.value.reason, refused.value.status) == ("expectation", 417)


def test_the_one_expectation_passes():
    assert edge("POST", headers=[HOST, (b"Expect", b"100-Continue"), (b"Content-Length", b"1")])
    assert edge("POST", headers=[HOST, (b"Expect", b"100-continue"), (b"Content-Length", b"0")])
    assert edge("GET", headers=[HOST, (b"Expect", b"100-continue")])


@pytest.mark.parametrize("lines", [[b"websocket"], [b"h2c, WebSocket"], [b"h2c", b"websocket"]])
def test_websocket_is_not_on_offer(lines):
    with pytest.raises(EdgeRejected) as refused:
        edge(headers=[HOST, *((b"Upgrade", line) for line in lines)])
    assert (refused.value.reason, refused.value.status) == ("upgrade_websocket", 426)


def test_other_upgrades_are_ignored():
    assert edge(headers=[HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")])


@pytest.mark.parametrize(
    "target",
    [
        "", "*", "http://a/", "a/b", "?a", "HTTP://127.0.0.1:8443/api/tags", "http:///api/tags", "http://", "http:/a/b",
        "https://a@localhost/", "https://localhost:1/", "ftp://localhost/", "http://localhost#/", "http://localhost\\/",
        "http://loc\u0130host/", "http://localhost.evil/", "//localhost//a",
    ],
)  # fmt: skip
def test_origin_form_or_an_authority_that_is_the_host(target):
    assert reason(target=target, headers=[(b"Host", b"localhost")]) in {"target_form", "path_segment"}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://localhost/api/tags?a=1", "/api/tags", "a=1"),
        ("HTTPS://LocalHost/", "/", ""),
        ("http://localhost", "/", ""),
        ("http://localhost?a", "/", "a"),
        ("http://localhost/a?b=http://c/d", "/a", "b=http://c/d"),
    ],
)
def test_absolute_form_with_the_host_is_the_path_in_it(target, path, query):
    assert edge(target=target, headers=[(b"Host", b"localhost")]) == CleanTarget(path, query)


def test_absolute_form_changes_none_of_the_paths_checks():
    assert reason(target="http://localhost/a/../b", headers=[(b"Host", b"localhost")]) == "path_segment"
    assert reason(target="http://localhost//a", headers=[(b"Host", b"localhost")]) == "path_segment"
    assert reason(target="http://localhost/a", headers=[], version=(1, 0)) == "target_form"


@pytest.mark.parametrize(
    "target",
    [
        "/a#b", "/a\\b", "/a;b", "/a b", "/\x00", "/a\x7f", "/é", "/\udcff", "/a%", "/a%2", "/a%zz", '/"', "/<", "/{a}",
        "/a?b#c", "/a?b c", "/a?é", "/a?\n", "/a?\udcff", "/a|b", "/a^b",
    ],
)  # fmt: skip
def test_characters_that_two_routers_read_differently(target):
    assert reason(target=target) == "target_characters"


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/a", "/%2E", "/a%2fb", "/a%5Cb", "/a%00", "/a%0d%0ab", "/%1f", "/%7f", "/%252e", "/%c0%ae", "/%ff",
        "/v1/model%2f", "/v1/models%2fa", "/v1/models/a%5cb", "/v1/models/%2e%2e",
    ],
)  # fmt: skip
def test_encoded_tricks(path):
    assert reason(target=path) == "path_encoding"


@pytest.mark.parametrize(
    "path",
    [
        "//a", "/a//b", "/a/./b", "/a/../b", "/..", "/.", "/a/..", "/a/.", "/a//", "/v1/models/..%2f..%2fadmin",
        "/v1/models/%2fa", "/v1/models/a%2F.%2fb",
    ],
)  # fmt: skip
def test_segments_that_some_router_resolves(path):
    assert reason(target=path) == "path_segment"


@pytest.mark.parametrize(
    "path", ["/v1/models/ns%2Fmodel:8b", "/v1/models/a%3Ab", "/a/...", "/.well-known/x", "/a/..b", "/a%20b"]
)
def test_paths_that_pass_raw(path):
    assert edge(target=path).path == path


@pytest.mark.parametrize("coding", [b"gzip", b"", b"gzip, gzip", b"identity, gzip"])
def test_encoded_bodies_are_not_supported(coding):
    with pytest.raises(EncodingNotSupported):
        demand_identity([HOST, (b"Content-Encoding", coding)])


def test_identity_is_no_encoding():
    demand_identity([HOST, (b"Content-Encoding", b"Identity")])


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "TRACE", "M-SEARCH"]),
    target=st.text(alphabet=string.printable + "\\%é\udc80", max_size=40).map("/".__add__),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Expect", b"Upgrade", b"X"]),
            st.one_of(st.binary(max_size=12), st.sampled_from([b"a:1", b"0", b"1", b"chunked", b"[::1]"])),
        ),
        max_size=5,
    ),
    version=st.sampled_from([(1, 0), (1, 1), (2, 0)]),
)
def test_any_message_passes_clean_or_is_refused(method, target, headers, version):
    try:
        clean = check_edge(method, target, headers, version)
    except (EdgeRejected, EncodingNotSupported):
        return
    lowered = clean.path.lower()
    assert clean.path.startswith("/")
    assert clean.path.isascii()
    assert clean.path.isprintable()
    assert not any(trick in lowered for trick in ("\\", ";", "#", "//", "/./", "/../", "%2e", "%5c", "%00", "%25"))
    assert "%2f" not in lowered or lowered.startswith("/v1/models/")
    names = [name.lower() for name, _ in headers]
    assert names.count(b"host") <= 1
    assert not {b"content-length", b"transfer-encoding"} <= set(names)
