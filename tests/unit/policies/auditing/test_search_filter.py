"""Invariant: a filter means what its words say, fits what a plain reading of them fits, and refuses the rest."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.audit_record import Effect, Stage
from policies.auditing.record_facts import Facts, packed
from policies.auditing.search_filter import (
    OUTCOMES,
    STAGES,
    Filter,
    Word,
    matches,
    read_filter,
    read_network,
    read_time_us,
    read_words,
)

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW_US = (NOW - EPOCH) // timedelta(microseconds=1)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def test_the_names_are_those_of_the_records() -> None:
    assert get_args(Effect) == OUTCOMES
    assert get_args(Stage) == STAGES


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("90m", NOW - timedelta(minutes=90)),
        ("5s", NOW - timedelta(seconds=5)),
        ("today", datetime(2026, 11, 22, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T10:00:00.000007Z", datetime(2026, 11, 20, 10, microsecond=7, tzinfo=UTC)),
        ("999999w", EPOCH),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert read_time_us(text, NOW_US) == us(moment)


@pytest.mark.parametrize("text", ["soon", "2026-11-20T10:00:00", "24", "-1h", "1969-12-31", "2026-13-01", "h"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        read_time_us(text, NOW_US)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "soon"}, "since: 'soon' is no time"),
        ({"since": "today", "until": "yesterday"}, "since must lie before until"),
        ({"since": "today", "until": "today"}, "since must lie before until"),
        ({"outcome": "maybe"}, "outcome is one of"),
        ({"stage": "late"}, "stage is one of"),
        ({"address": "nowhere"}, "is no address and no network"),
        ({"address": "10.0.0.7/8"}, "the network is 10.0.0.0/8"),
        ({"text": "!?"}, "has no word"),
        ({"text": " ".join(f"w{n}" for n in range(17))}, "at most 16 words"),
        ({"team": "x" * 513}, "team is longer than 512"),
        ({"colour": "red"}, "'colour' is no condition"),
    ],
)
def test_what_cannot_be_asked_is_said(asked: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_filter(asked, NOW_US)


def test_empty_texts_are_conditions_not_given() -> None:
    assert read_filter(dict.fromkeys(("since", "team", "actor", "address", "text", "outcome"), ""), NOW_US) == Filter()


def test_an_actor_is_every_pseudonym_of_the_name_and_the_name_itself() -> None:
    found = read_filter({"actor": "alice"}, NOW_US, lambda name: ("pone", "ptwo") if name == "alice" else ())
    assert found.actors == ("pone", "ptwo", "alice")
    assert read_filter({"actor": "pone"}, NOW_US, lambda _name: ("pone",)).actors == ("pone",)


def test_words_are_split_like_those_of_records() -> None:
    assert read_words("Smollm2:135M smollm2 pol*") == (Word("smollm2"), Word("135m"), Word("pol", prefix=True))
    assert read_words("* a") == (Word("a"),)


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"])
def test_an_address_is_a_network_of_one(text: str) -> None:
    network = read_network(text)
    assert network.single
    assert network.low == packed(text)


def test_an_ipv6_network_around_the_mapped_ones_holds_no_ipv4() -> None:
    for wide in (read_network("::/64"), read_network("::fffe:0:0/95")):
        assert not wide.low <= packed("192.0.2.7") <= wide.high
        assert wide.low <= packed(wide.text.partition("/")[0]) <= wide.high


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 128), st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_networks_hold_what_the_library_says(base, length: int, address) -> None:  # type: ignore[no-untyped-def]
    found = ip_network((base, min(length, base.max_prefixlen)), strict=False)
    network = read_network(str(found))
    around_mapped = found.version == 6 and found.overlaps(ip_network("::ffff:0:0/96"))
    if not around_mapped and getattr(address, "ipv4_mapped", None) is None:
        assert (network.low <= packed(str(address)) <= network.high) == (address in found)
    assert network.low <= packed(str(found.network_address)) <= network.high or around_mapped


FACTS = Facts(
    at_us=100,
    event="request.denied",
    stage="denied",
    outcome="deny",
    reason="queue_full",
    team="chem",
    key="abc",
    actor="pone",
    model="qwen3:8b",
    route="/api/chat",
    request="r1",
    address=packed("192.0.2.7"),
    more="api_key",
)


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (Filter(), True),
        (Filter(since_us=100, until_us=101), True),
        (Filter(since_us=101), False),
        (Filter(until_us=100), False),
        (Filter(team="chem", key="abc", model="qwen3:8b", route="/api/chat", request="r1"), True),
        (Filter(team="chem", reason="other"), False),
        (Filter(outcome="deny", stage="denied", event="request.denied", reason="queue_full"), True),
        (Filter(actors=("pzero", "pone")), True),
        (Filter(actors=("pzero",)), False),
        (Filter(network=read_network("192.0.2.0/24")), True),
        (Filter(network=read_network("198.51.100.0/24")), False),
        (Filter(words=read_words("chat qwen3")), True),
        (Filter(words=read_words("qw*")), True),
        (Filter(words=read_words("qw")), False),
        (Filter(words=read_words("chat absent*")), False),
    ],
)
def test_a_record_fits_when_all_conditions_do(asked: Filter, fits: bool) -> None:
    assert matches(asked, FACTS) is fits


def test_a_record_without_an_address_is_in_no_network() -> None:
    assert not matches(Filter(network=read_network("0.0.0.0/0")), Facts())
