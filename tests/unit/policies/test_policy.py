"""What a policy may say, value by value."""

from typing import Any

import pytest

from policies.addresses.networks import ListenerNetworks, Networks, read_address
from policies.errors import AddressNotAllowed
from policies.policy import Limits, Policy, Team


def test_a_team_uses_what_its_list_names() -> None:
    assert Team(models=("*",)).may_use("any:latest")
    assert Team(models=("a:latest",)).may_use("a:latest")
    assert not Team(models=("a:latest",)).may_use("b:latest")
    assert not Team().may_use("a:latest")
    assert Team(models=("A", "b:8B")).may_use("a:latest")
    assert Team(models=("A", "b:8B")).may_use("b:8b")
    assert not Team(models=("b",)).may_use("b:8b")


@pytest.mark.parametrize("values", [{"requests_per_minute": 0}, {"burst_requests": 0}, {"concurrent_requests": 0}])
def test_limits_below_one_are_faults(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(**values)


def test_no_limit_is_allowed() -> None:
    assert Limits(requests_per_minute=None, concurrent_requests=None).requests_per_minute is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"weight": 0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"max_queued": 0}, "max_queued"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_wait_s": 0}, "max_wait_s"),
        ({"max_answer_s": 0}, "max_answer_s"),
    ],
)
def test_team_values_out_of_range_are_faults(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Team(**values)


@pytest.mark.parametrize("name", ["", "Team", "a b", "-a", "a" * 64])
def test_team_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="team name"):
        Policy(teams={name: Team()})


def test_the_whole_queue_has_a_bound() -> None:
    with pytest.raises(ValueError, match="max_queued"):
        Policy(teams={"a": Team()}, max_queued=0)


LOCAL, STRANGER, PROXY = map(read_address, ("127.0.0.1", "192.0.2.1", "10.0.0.1"))
ADDRESSED = Policy(
    teams={},
    networks=Networks(allow=("127.0.0.0/8", "192.0.2.0/24", "10.0.0.0/8")),
    listeners=ListenerNetworks(admin=Networks(allow=("127.0.0.0/8",))),
)


def test_the_global_list_and_the_listeners_own_must_both_let_in() -> None:
    ADDRESSED.require_address(STRANGER, "public")
    ADDRESSED.require_address(LOCAL, "admin")
    with pytest.raises(AddressNotAllowed) as refused:
        ADDRESSED.require_address(STRANGER, "admin")
    assert (refused.value.reason, refused.value.rule) == ("listener_network", "not in allow")
    with pytest.raises(AddressNotAllowed, match="global_network"):
        ADDRESSED.require_address(read_address("198.51.100.1"), "public")
    assert ADDRESSED.may_connect(STRANGER, "public")
    assert not ADDRESSED.may_connect(STRANGER, "admin")


def test_a_trusted_proxy_may_connect_wherever_its_clients_may_come_from() -> None:
    policy = Policy(teams={}, networks=Networks(allow=("192.0.2.0/24",)), trusted_proxies=("10.0.0.0/8",))
    assert policy.may_connect(PROXY, "public")
    assert not policy.may_connect(LOCAL, "public")
    with pytest.raises(AddressNotAllowed, match="global_network"):
        policy.require_address(PROXY, "public")


def test_proxies_that_cannot_be_read_or_are_too_many_are_nobody() -> None:
    for networks in (("ten",), ("0.0.0.0/0",), ("10.0.0.0/8", "::/0")):
        assert not Policy(teams={}, trusted_proxies=networks).proxies.trusts(PROXY)
    assert Policy(teams={}, trusted_proxies=("0.0.0.0/0",), unsafe_trust_all_proxies=True).proxies.trusts(PROXY)
    assert Policy(teams={}, trusted_proxies=("10.0.0.0/8",)).proxies.header == "x-forwarded-for"


def test_the_longest_answer_is_that_of_the_team_with_the_most_time() -> None:
    assert Policy(teams={}).longest_answer_s() == Team().max_answer_s
    assert Policy(teams={"a": Team(max_answer_s=60.0), "b": Team(max_answer_s=7200.0)}).longest_answer_s() == 7200.0
