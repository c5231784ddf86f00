"""Invariant: each request is played on exactly the terms that the policy would give it in service."""

import pytest

from gateway.simulating.arrivals import Arrival
from gateway.simulating.team_terms import UnknownTerms, under_policy
from policies.admitting.bands import band_terms
from policies.admitting.ticket import BandTerms
from policies.policy import Band, Policy, Team

POLICY = Policy(
    teams={
        "a": Team(weight=3, band="standard", first_token_s=2, max_output_tokens=100),
        "b": Team(band="batch"),
    }
)


def on_terms(**facts: object) -> Arrival:
    given = {"at_s": 1, "team": "a", "prompt_tokens": 5, "output_tokens": 50} | facts
    return under_policy([Arrival(**given)], POLICY, "p.yaml")[0]


def test_weight_band_and_promise_are_the_teams() -> None:
    found = on_terms()
    assert (found.weight, found.band, found.promise_s, found.output_cap) == (3, "standard", 2, 100)
    assert (found.at_s, found.prompt_tokens, found.output_tokens) == (1, 5, 50)
    assert on_terms(team="b").promise_s is None


@pytest.mark.parametrize(("own_s", "held_s"), [(1, 1), (2, 2), (3, 2)])
def test_a_promise_of_its_own_only_tightens(own_s: float, held_s: float) -> None:
    assert on_terms(promise_s=own_s).promise_s == held_s


def test_it_holds_where_the_team_has_none() -> None:
    assert on_terms(team="b", promise_s=9).promise_s == 9


@pytest.mark.parametrize(("own", "held"), [("interactive", "standard"), ("standard", "standard"), ("batch", "batch")])
def test_a_band_of_its_own_is_only_lower(own: str, held: str) -> None:
    assert on_terms(band=own).band == held


def test_answers_are_cut_where_the_policy_cuts_them() -> None:
    assert on_terms(output_tokens=500).output_tokens == 100
    assert on_terms(output_tokens=500, output_cap=7).output_tokens == 7
    assert on_terms(output_cap=7).output_cap == 7


def test_what_the_policy_does_not_know_is_a_fault_with_its_remedy() -> None:
    with pytest.raises(UnknownTerms) as caught:
        on_terms(team="c")
    assert str(caught.value) == (
        "p.yaml: it has no team 'c', whose requests the trace holds (its teams: a, b): "
        "add the team there, or give the trace to one of its teams with --team NAME=FILE"
    )
    with pytest.raises(UnknownTerms, match="no band 'gold', which the trace names: use one of its own"):
        on_terms(band="gold")
    with pytest.raises(UnknownTerms, match="its teams: none"):
        under_policy([Arrival(at_s=0, team="c", prompt_tokens=1, output_tokens=1)], Policy(teams={}), "p.yaml")


def test_bands_highest_first() -> None:
    policy = Policy(teams={}, bands={"b": Band(share=0.5), "a": Band(share=0.2, lends=False)})
    assert band_terms(policy) == (BandTerms("b", 0.5), BandTerms("a", 0.2, False))
