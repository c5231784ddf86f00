"""Host names for certificates."""

import pytest

from gateway.homes.host_names import read_host_name


@pytest.mark.parametrize(
    ("text", "name"), [("Gate.Example.COM.", "gate.example.com"), ("a", "a"), ("1-2.x", "1-2.x"), ("a" * 63, "a" * 63)]
)
def test_names(text, name):
    assert read_host_name(text) == name


@pytest.mark.parametrize(
    "text", ["", ".", "a_b", "-a", "a-", "a..b", "*.a", "a" * 64, ".".join(["a" * 60] * 5), "é", "a\n"]
)
def test_what_is_no_name(text):
    with pytest.raises(ValueError, match="neither an IP address nor a host name"):
        read_host_name(text)
