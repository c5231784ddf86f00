"""How far each team is: rules 1 to 4 of `policies/admitting/standings.py`."""

from policies.admitting.standings import Standings
from policies.admitting.team_account import TeamAccount
from policies.admitting.tuning import Tuning


def account(name: str, counter: float = 0.0) -> TeamAccount:
    made = TeamAccount(name, Tuning())
    made.counter = counter
    return made


def test_rule_3_who_comes_where_nobody_is_stands_at_nothing() -> None:
    standings, night = Standings(), account("night", 1e6)
    standings.join(night, "", [], 2.0, 60.0)
    assert standings.counter(night, "") == 0.0
    night.charge(5.0, 0.0)
    assert standings.counter(night, "") == 5.0


def test_rule_1_who_joins_for_the_first_time_has_its_credit() -> None:
    standings, here, comes = Standings(), account("here", 100.0), account("comes", 1e6)
    standings.join(here, "", [], 2.0, 60.0)
    here.charge(50.0, 0.0)
    assert standings.on_joining(comes, "", [here], 2.0, 60.0) == 48.0
    standings.join(comes, "", [here], 2.0, 60.0)
    assert standings.counter(comes, "") == 48.0


def test_rule_1_of_many_who_come_none_is_behind_another_by_more_than_its_credit() -> None:
    standings, here = Standings(), account("here")
    standings.join(here, "", [], 2.0, 60.0)
    here.charge(50.0, 0.0)
    teams = [here]
    for number in range(20):
        comes = account(f"t{number}")
        standings.join(comes, "", teams, 2.0, 60.0)
        teams.append(comes)
    assert [standings.counter(each, "") for each in teams[1:]] == [48.0] * 20


def test_rule_1_nobody_joins_ahead_of_the_least_however_large_its_credit_was() -> None:
    standings, here, early, late = Standings(), account("here"), account("early"), account("late")
    standings.join(here, "", [], 2.0, 60.0)
    standings.join(early, "", [here], 30.0, 60.0)
    assert standings.counter(early, "") == -30.0
    assert standings.on_joining(late, "", [here, early], 2.0, 60.0) == -30.0


def test_rule_1_who_comes_back_is_brought_up_to_the_others() -> None:
    standings, here, back = Standings(), account("here"), account("back")
    standings.join(here, "", [], 2.0, 60.0)
    standings.join(back, "", [here], 2.0, 60.0)
    here.charge(500.0, 0.0)
    standings.join(back, "", [here], 2.0, 60.0)
    assert standings.counter(back, "") == 498.0


def test_rule_2_older_debts_are_forgotten() -> None:
    standings, here, back = Standings(), account("here"), account("back")
    standings.join(here, "", [], 2.0, 60.0)
    standings.join(back, "", [here], 2.0, 60.0)
    back.charge(30.0, 0.0)
    standings.join(back, "", [here], 2.0, 60.0)
    assert standings.counter(back, "") == 28.0, "what it had beyond its credit counts"
    back.charge(5_000.0, 0.0)
    standings.join(back, "", [here], 2.0, 60.0)
    assert standings.counter(back, "") == 60.0


def test_bands_do_not_mix() -> None:
    standings, one, other = Standings(), account("one"), account("other")
    standings.join(one, "high", [], 2.0, 60.0)
    one.charge(500.0, 0.0)
    standings.join(other, "low", [], 2.0, 60.0)
    standings.join(one, "low", [other], 2.0, 60.0)
    assert standings.counter(one, "low") == -2.0
    assert standings.counter(one, "high") == 500.0


def test_rule_4_when_domains_become_one_all_begin_anew() -> None:
    standings, one, other = Standings(), account("one", 7.0), account("other", 700.0)
    standings.begin_anew([one, other], ["", "low"])
    assert {standings.counter(each, band) for each in (one, other) for band in ("", "low")} == {0.0}
