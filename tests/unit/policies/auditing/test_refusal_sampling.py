"""Invariant: every refusal is told once, in a record of its own or in exactly one count, however many come."""

from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.refusal_sampling import MAX_NETWORKS, OTHER, UNKNOWN, RefusalSampling, Sample, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
    ],
)
def test_an_attackers_network(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == network


def test_an_address_that_is_not_known() -> None:
    assert network_of(None) == UNKNOWN


def test_the_first_of_a_minute_have_records_and_the_rest_are_counted() -> None:
    sampling = RefusalSampling(2)
    assert [sampling.takes("r", "n", 60.0 + second) for second in range(4)] == [True, True, False, False]
    assert sampling.takes("other reason", "n", 61.0)
    assert sampling.collect() == [Sample("r", "n", 2, 62.0, 63.0)]
    assert sampling.collect() == []
    assert sampling.takes("r", "n", 120.0), "a new minute"
    assert sampling.sampled == 2


def test_a_count_given_back_is_told_with_the_next() -> None:
    sampling = RefusalSampling(0)
    sampling.takes("r", "n", 1.0)
    (sample,) = sampling.collect()
    sampling.takes("r", "n", 5.0)
    sampling.give_back(sample)
    assert sampling.collect() == [Sample("r", "n", 2, 1.0, 5.0)]


def test_networks_beyond_the_bound_share_a_class() -> None:
    sampling = RefusalSampling(1)
    records = [sampling.takes("r", f"n{number}", 0.0) for number in range(1000)]
    assert sum(records) == MAX_NETWORKS + 1
    assert {sample.network for sample in sampling.collect()} == {OTHER}
    assert not sampling.takes("r", "n0", 0.0), "one that is kept apart stays so for the minute"
    assert [sample.network for sample in sampling.collect()] == ["n0"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 200), st.booleans()), max_size=300),
    st.integers(0, 3),
)
def test_nothing_is_lost_or_told_twice(refusals: list[tuple[str, int, int, bool]], full: int) -> None:
    sampling = RefusalSampling(full)
    told: Counter[str] = Counter()
    for reason, network, now, collects in refusals:
        told[reason] += sampling.takes(reason, str(network), float(now))
        if collects:
            told.update({reason: 0})
            for sample in sampling.collect():
                told[sample.reason] += sample.count
    for sample in sampling.collect():
        told[sample.reason] += sample.count
    assert told == Counter(reason for reason, *_ in refusals) or not refusals
