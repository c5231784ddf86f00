"""Bounds on simulated figures: what is judged, and what misses."""

from bench.admission.bounds import Bound, first_try, judge
from bench.admission.cells import AZURE, CORRAL, RETRIES, SMALL, TWO_TEAMS, UNTOLD, Cell, Played
from bench.admission.shares import Shares
from gateway.simulating.figures import Figures, TeamFigures


def figures(
    *, light: float = 1.0, waste: float = 0.0, useful: float = 0.99, tries: int = 10, first: float | None = 0.9
) -> Figures:
    team = TeamFigures(
        callers=1000,
        kept=round(1000 * light),
        served=0,
        refused=0,
        refused_late=0,
        left=0,
        work=1.0,
        useful_work=1.0,
        p50_wait_s=None,
        p99_wait_s=None,
    )
    return Figures(
        teams={"light": team},
        goodput=light,
        p99_wait_s=9.0,
        useful_per_worker=useful,
        waste=waste,
        refusals=0,
        rejected=0.0,
        late=0.1,
        told=1.0,
        booked_tries=tries,
        first_try=first,
        jain=1.0,
    )


def played(scenario: str, load: float, run: Figures, policy: str = CORRAL) -> Played:
    return Played(cell=Cell(scenario=scenario, policy=policy, load=load), runs=(run,), predictions={})


def missed(*cells: Played) -> list[str]:
    return [bound.name for bound in judge(cells, []) if not bound.holds]


def test_each_bound_of_two_teams_is_judged() -> None:
    good = played(TWO_TEAMS, 2.0, figures())
    assert [bound.name for bound in judge([good], [])] == ["T1", "T2", "T3", "T4", "T5"]
    assert missed(good) == []
    assert missed(played(TWO_TEAMS, 1.2, figures(light=0.98, waste=0.03, useful=0.7))) == ["T1", "T2", "T3"]
    assert missed(played(TWO_TEAMS, 2.0, figures(light=0.98))) == []
    assert "T5" not in {bound.name for bound in judge([played(TWO_TEAMS, 0.5, figures())], [])}


def test_small_pools_and_the_recorded_hour_have_their_own() -> None:
    assert missed(played(SMALL, 2.0, figures(light=0.91)), played(AZURE, 1.2, figures(waste=0.05))) == []
    assert missed(played(SMALL, 2.0, figures(light=0.89)), played(AZURE, 1.2, figures(waste=0.07))) == ["T1", "T3"]


def test_retrying_clients_are_judged_by_their_first_tries_and_by_what_telling_gains() -> None:
    told = played(RETRIES, 2.0, figures(useful=0.95))
    assert missed(told, played(RETRIES, 2.0, figures(useful=0.91), UNTOLD)) == []
    assert missed(told, played(RETRIES, 2.0, figures(useful=0.93), UNTOLD)) == ["T9"]
    assert missed(played(RETRIES, 0.8, figures(first=0.8))) == ["T9"]


def test_others_are_not_judged() -> None:
    assert judge([played(TWO_TEAMS, 1.2, figures(light=0.0), "FIFO unbounded")], []) == []


def test_shares_and_counters_are_judged() -> None:
    shares = Shares(
        due={"a": 0.75, "b": 0.25},
        work={"a": 0.5, "b": 0.5},
        slot_time={"a": 0.72, "b": 0.28},
        counter_gap=130.0,
        largest_charge=50.0,
        largest_request=10.0,
    )
    bounds = judge([], [("3:1", shares)])
    assert [bound.holds for bound in bounds] == [False, False]
    assert all("3:1" in bound.line() and "MISSES" in bound.line() for bound in bounds)


def test_first_tries_weigh_by_how_many_there_were() -> None:
    assert first_try([figures(tries=30, first=1.0), figures(tries=10, first=0.0), figures(tries=0, first=None)]) == 0.75
    assert first_try([figures(tries=0, first=None)]) == 0.0


def test_a_bound_may_be_given_slack() -> None:
    bound = Bound(name="T", what="x", value=0.97, least=0.98)
    assert (bound.holds, bound.holds_within(0.02)) == (False, True)
    assert Bound(name="T", what="x", value=0.97, most=0.98).holds
