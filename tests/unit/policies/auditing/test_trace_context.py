"""A trace id is taken from a header of the standard's form only."""

import pytest

from policies.auditing.trace_context import read_trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
GOOD = f"00-{TRACE}-b7ad6b7169203331-01".encode()


def headers(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"Host", b"x"), *((b"TraceParent", value) for value in values)]


def test_the_trace_of_a_request() -> None:
    assert read_trace_id(headers(GOOD)) == TRACE
    assert read_trace_id(headers(b"01" + GOOD[2:] + b"-more")) == TRACE


@pytest.mark.parametrize(
    "values",
    [
        (),
        (GOOD, GOOD),
        (b"ff" + GOOD[2:],),
        (GOOD + b"-more",),
        (GOOD.replace(TRACE.encode(), b"0" * 32),),
        (GOOD.replace(b"b7ad6b7169203331", b"0" * 16),),
        (GOOD.upper(),),
        (b"secret",),
    ],
)
def test_anything_else_is_none(values: tuple[bytes, ...]) -> None:
    assert read_trace_id(headers(*values)) == ""
