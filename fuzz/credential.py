"""Invariant: any headers and query give one credential of bounded printable text, or a refusal of ours."""

from policies.credentials.credential import (
    MAX_CREDENTIAL_BYTES,
    QUERY_NAMES,
    ApiKeyCredential,
    JwtCredential,
    Presented,
    SignedCredential,
    read_credential,
)
from policies.errors import Refused

SEEDS = (
    b"ts=1700000000\nAuthorization: Bearer corral_abcdefghijkl_0123",
    b"\nx-api-key: eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
    b"ts=1700000000\nAuthorization: AAAAC3NzaC1lZDI1NTE5:c2lnbmF0dXJl",
    b"a=1&token=x\nAuthorization: Bearer a\nX-Api-Key: a",
)


def one(data: bytes) -> None:
    """Read one request: the query, then `name: value` lines."""
    query, *lines = data.split(b"\n")
    text = "".join(letter for letter in query.decode("latin-1") if "\x21" <= letter <= "\x7e")
    headers = tuple((name, value.strip(b" ")) for name, _, value in (line.partition(b":") for line in lines))
    try:
        credential = read_credential(Presented("POST", "/api/chat", text, headers))
    except Refused:
        return
    assert not {pair.partition("=")[0].lower() for pair in text.split("&")} & QUERY_NAMES
    if isinstance(credential, ApiKeyCredential | JwtCredential):
        assert credential.text.isascii()
        assert credential.text.isprintable()
        assert 0 < len(credential.text) <= MAX_CREDENTIAL_BYTES
    else:
        assert isinstance(credential, SignedCredential)
        assert credential.signed == f"POST,/api/chat?{text}".encode()
