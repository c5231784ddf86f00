"""Invariant: any head is EdgeRejected, or its path routes literally: visible ASCII without a dot segment."""

from gateway.http.edge import check_edge
from policies.errors import EdgeRejected

SEEDS = (
    b"GET / HTTP/1.1\nHost: localhost",
    b"POST /api/chat?x=1 HTTP/1.1\nHost: a.example:8443\nContent-Length: 5\nExpect: 100-continue",
    b"POST /v1/models/ns%2Fmodel HTTP/1.1\nHost: [::1]\nTransfer-Encoding: chunked",
    b"DELETE /api/delete HTTP/1.0\nhost: x\ncontent-length: 0",
)


def one(data: bytes) -> None:
    """Check one head: a request line, then `name: value` lines."""
    first, *lines = data.split(b"\n")
    method, _, rest = first.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    headers = tuple((name, value.strip(b" ")) for name, _, value in (line.partition(b":") for line in lines))
    try:
        clean = check_edge(method, target, headers, (1, 0) if version.endswith("0") else (1, 1))
    except EdgeRejected:
        return
    assert clean.path.startswith("/")
    assert all("\x21" <= letter <= "\x7e" for letter in clean.path + clean.query)
    segments = clean.path.split("/")
    assert not {".", ".."} & set(segments)
    assert "" not in segments[1:-1]
    names = [name.lower() for name, _ in headers]
    assert names.count(b"host") <= 1
    assert not (b"content-length" in names and b"transfer-encoding" in names)
