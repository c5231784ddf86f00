"""Sign-ins under way: their number is bounded, and each is taken once."""

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.console.oidc_login import LOGIN_S, Pending
from policies.console.oidc_pending import PendingLogins

ONE, OTHER = ip_network("192.0.2.0/24"), ip_network("198.51.100.0/24")


def pending(begun_s: float = 0.0) -> Pending:
    return Pending(redirect_uri="https://c.example/oidc/callback", begun_s=begun_s)


def test_each_is_taken_once() -> None:
    kept = PendingLogins()
    kept.put("p", pending(), ONE)
    assert kept.take("q") is None
    assert kept.take("p") == pending()
    assert kept.take("p") is None
    assert len(kept) == 0


def test_a_network_pushes_out_its_own_alone() -> None:
    kept = PendingLogins(max_logins=10, max_of_network=2)
    kept.put("other", pending(), OTHER)
    for place in ("a", "b", "c"):
        kept.put(place, pending(), ONE)
    assert [kept.take(place) is not None for place in ("a", "b", "c", "other")] == [False, True, True, True]


def test_of_all_together_the_oldest_goes() -> None:
    kept = PendingLogins(max_logins=2, max_of_network=2)
    kept.put("a", pending(), ONE)
    kept.put("b", pending(), OTHER)
    kept.put("c", pending(), OTHER)
    assert [kept.take(place) is not None for place in ("a", "b", "c")] == [False, True, True]


def test_a_network_of_one_makes_room_for_itself() -> None:
    kept = PendingLogins(max_logins=1, max_of_network=1)
    kept.put("a", pending(), ONE)
    kept.put("b", pending(), ONE)
    assert kept.take("a") is None
    assert kept.take("b") is not None


def test_old_ones_are_forgotten_when_another_comes() -> None:
    kept = PendingLogins()
    kept.put("a", pending(0.0), ONE)
    kept.put("b", pending(LOGIN_S), ONE)
    assert len(kept) == 2
    kept.put("c", pending(LOGIN_S + 1), OTHER)
    assert len(kept) == 2
    assert kept.take("a") is None
    kept.put("d", pending(-5.0), OTHER)
    assert len(kept) == 3


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), max_size=80))
def test_the_bounds_hold_whatever_comes(steps: list[tuple[int, int, bool]]) -> None:
    """Never more than the bounds; what is there is what was put last under its place and not taken since."""
    kept = PendingLogins(max_logins=8, max_of_network=3)
    put: dict[str, float] = {}
    for moment, (number, network, taking) in enumerate(steps):
        place = f"{number}-{moment}"
        kept.put(place, pending(float(moment)), ip_network(f"10.0.{network}.0/24"))
        put[place] = float(moment)
        if taking:
            taken = kept.take(place)
            assert taken is not None
            assert taken.begun_s == put.pop(place)
        assert len(kept) <= 8
    found = [place for place in put if kept.take(place) is not None]
    assert len(kept) == 0
    assert len(found) <= 8
